"""The figures that documents show are those that were measured and kept."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from small_slide import draw_slide

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

MACHINE = {"processor": "p", "features": ["avx2"], "cores": 2, "system": "s"}


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tables

    yield tables
    for name in (
        "tables",
        "aarch64_table",
        "answer_tables",
        "speed",
        "harness",
        "clustered",
        "cohort_tables",
        "gate",
        "memory_tables",
        "network",
        "peers",
        "peers_opened",
        "pipeline",
        "start",
        "twin",
        "images",
        "marks",
        "reliability",
        "promises",
        "whole_compare",
        "whole_installed",
        "whole_job",
        "whole_places",
        "whole_run",
        "whole_tables",
        "whole_ways",
    ):
        sys.modules.pop(name, None)


def test_the_tables_of_documents_are_those_of_the_kept_results(tables):
    for path, parts in zip(tables.DOCUMENTS, (6, 7, 1, 1, 1, 2, 1, 2, 1, 3, 1, 1, 1, 1, 1), strict=True):
        text = path.read_text()
        ended = re.findall(r"<!-- table: \w+ -->(?:(?!<!-- table).)*?<!-- end -->", text, re.DOTALL)
        assert text.count("<!-- table: ") == len(ended) >= parts
        assert tables.fill(text) == text
    for path, svg in tables.pictures():
        assert path.read_text() == svg


def test_intervals_of_few_patients_hold_and_the_gate_lets_no_bad_model_through(tables):
    kept = json.loads((BENCHMARKS / "results" / "statistics.json").read_text())
    evaluated, gated = kept["evaluated"]["rows"], kept["gated"]["rows"]
    cells = {(one["patients"], one["accuracy"], one["icc"]) for one in evaluated}
    assert len(cells) == len(evaluated) == 36
    assert min(one["held"] for one in evaluated) >= 0.92
    assert {(one["patients"], one["icc"]) for one in gated} >= {(n, c) for n in (60, 160) for c in (0.0, 0.3)}
    assert max(one["bad"] for one in gated) <= 0.05
    assert min(one["good"] for one in gated) >= 0.65


def test_the_benchmark_of_few_patients_draws_the_correlation_it_names(tables):
    clustered = sys.modules["clustered"]
    of = np.repeat(np.arange(2000), 20)
    drawn = clustered.drawn(np.random.default_rng(1), 0.2, 0.3, of)
    assert drawn.mean() == pytest.approx(0.2, abs=0.02)
    rates = np.bincount(of, drawn) / 20
    assert rates.var() == pytest.approx(0.2 * 0.8 * (0.3 + 0.7 / 20), rel=0.1)


def test_a_calibration_without_other_slides_ends_with_what_it_has(tables, tmp_path):
    import calibrate

    answers = calibrate._answers(0, tmp_path)
    assert calibrate._held(answers) == {"slides": 0, "not_assessable": 0}


def test_a_long_run_gets_a_line(tables, monkeypatch, tmp_path):
    run = {"machine": MACHINE, "model": "m", "tile_px": 64, "interpreters": 1, "tiles": 1000,
           "tiles_per_s": 99.6, "slope_mb_per_10000": 0.123, "handles": [6, 6], "threads": [7, 9],
           "in_journals": 1000, "ledger": {"classified": 900, "background": 100}}  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps({"soak": run}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.fill("<!-- table: soak --><!-- end -->")
    assert "| 1000 | 100 | +0.12 MB per 10,000 | 6 | 7..9 | 1000 | 1000 |" in text


def memory_run(model, limits):
    names = ("Python", "Numba", "OpenCV", "kernels, kept on disk")
    sizes = (10.0, 75.0, 90.0, 150.0)
    steps = [
        {"step": name, "cpu_seconds": 0.25, "rss": size, "peak": size, "own": size / 2, "files": size / 2}
        for name, size in zip(names, sizes, strict=True)
    ]
    groups = [
        {"limit_mb": limit, "code": code, "seconds": 5.0, "charged_mb": limit} for limit, code in limits
    ]
    return {
        "model": model, "flatbuffer_mb": 26.1, "slide": "s.svs", "steps": steps,
        "peak_mb": {"1": 160, "2": 161}, "cgroup": groups or None,
    }  # fmt: skip


def test_numba_costs_what_its_steps_add_and_a_limit_counts_where_results_came(tables):
    runs = [memory_run("demo", [(400, 0), (200, -9), (210, 0)]), memory_run("student", [(400, 0), (150, 0)])]
    found = {
        "machine": MACHINE, "slide": "s.svs", "runs": runs, "versions": {"numba": "1"},
        "disk_mb": {"numba": 30.0, "llvmlite": 170.0},
    }  # fmt: skip
    text = "\n".join(tables.memory(found))
    assert "Numba: 125 MB resident (62 of its own), 0.50 s of a core at each start, 200 MB installed." in text
    assert "| smallest memory cgroup that will do | 210 | | 150 | |" in text
    assert "demo in cgroups of 400 MB: 5 s; 210 MB: 5 s; 200 MB: ended by the kernel." in text
    runs[1]["cgroup"] = None
    assert "smallest" not in "\n".join(tables.memory(found)), "not of one model alone"


def test_shards_get_a_table_with_the_hours_that_the_fullest_takes(tables, monkeypatch, tmp_path):
    columns = ["shards", "mean slides", "fullest", "emptiest", "fullest / mean", "hours of the mean"]
    assigned = {"machine": MACHINE, "slides": 100_000, "shards": 1000, "seconds": 0.61}
    assigned |= {"wanted_seconds": 5.0, "seconds_of_a_slide": 60.0}
    assigned["table"] = [columns, [1000, 100.0, 131, 70, 1.31, "1.67"]]
    walls = {"machine": MACHINE, "slides": 30, "tiles": 400, "two_shards_faster": 1.86, "wanted": 1.9}
    walls["two_shards_faster_than_one_core"] = 1.92
    walls["seconds"] = {"one process": 20.0, "two shards": 10.4}
    (tmp_path / "m.json").write_text(json.dumps({"cohort_assign": assigned, "cohort_walls": walls}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.fill("<!-- table: cohort_assign --><!-- end --><!-- table: cohort_walls --><!-- end -->")
    assert "100,000 slides to 1,000 shards in 0.61 s, wanted below 5 s; 60 s a slide:" in text
    assert "| 1000 | 100.0 | 131 | 70 | 1.31 | 1.67 |" in text
    assert "1.92 times as fast as one process on one core, wanted 1.9, and 1.86 times" in text


def test_a_runtime_that_was_left_out_has_no_time(tables, monkeypatch, tmp_path):
    times = {"int8, LiteRT": {"median_ms": 22.44}}
    record = {"machine": MACHINE, "threads": 2, "schemes": ["int8"], "times": times}
    (tmp_path / "m.json").write_text(json.dumps({"schemes": record}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| int8 | 22.4 ms | - |" in tables.fill("<!-- table: schemes --><!-- end -->")


def test_every_promise_has_tests_that_exist(tables):
    import promises

    assert [one.number for one in promises.PROMISES] == list(range(1, 39))
    for test in {test for one in promises.PROMISES for test in one.tests}:
        file, _, name = test.partition("::")
        source = Path(promises.place_of(file)).read_text()
        assert re.search(rf"^def {name}\(" if name else "(?i)test", source, re.MULTILINE), test


def test_a_promise_is_found_by_its_tests_whatever_their_parameters(tables):
    from xml.etree import ElementTree

    import reliability

    promise = reliability.Promise(1, "m", "a", ("test_a.py::test_x", "test_b.py"))
    cases = ElementTree.fromstring(  # noqa: S314
        """<s>
        <testcase file="tests/test_a.py" name="test_x[1]"><properties><property name="figure" value="f"/>
        </properties></testcase>
        <testcase file="tests/test_a.py" name="test_x_too"/>
        <testcase file="tests/test_b.py" name="test_y"><failure/></testcase>
        <testcase file="tests/test_b.py" name="test_z"><skipped/></testcase></s>"""
    )
    found = reliability.found_of(promise, list(cases))
    assert (found["passed"], found["failed"], found["skipped"], found["figures"]) == (1, 1, 1, ["f"])
    made_elsewhere = ElementTree.fromstring(  # noqa: S314
        '<s><testcase file="hypothesis/stateful.py" classname="tests.test_b.TestX" name="runTest"/></s>'
    )
    assert reliability.found_of(promise, list(made_elsewhere))["passed"] == 1


def test_another_result_makes_another_table(tables, monkeypatch, tmp_path):
    (kept,) = sorted(tables.RESULTS.glob("*.json"))[:1]
    record = json.loads(kept.read_text())
    record["kernels"]["512"]["times"]["fast"]["median_ms"] = 123.456
    (tmp_path / "other.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "123.46" in tables.fill((BENCHMARKS / "README.md").read_text())


def test_maps_and_real_tiles_get_tables_of_their_own(tables, monkeypatch, tmp_path):
    scheme = {"scheme": "int8", "packed": True, "flips": 3, "clear_flips": 1, "max_difference": 0.0512,
              "mean_difference": 0.00371}  # fmt: skip
    maps = {"model": "m", "scheme": "int8", "demo": True, "tiles": 120, "threads": 1, "all_places": 0.9876,
            "median": 0.98, "mean": 0.97, "p10": 0.9, "with_map_takes": 1.0123}  # fmt: skip
    record = {"agreement": {"machine": MACHINE, "demo": True, "tiles": 95, "schemes": [scheme]},
              "explain": {"machine": MACHINE, **maps}}  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.fill("<!-- table: agreement --><!-- end --><!-- table: explain --><!-- end -->")
    assert "| int8 --export fast | 3 | 1 | 0.051 | 0.0037 |" in text
    assert "95 real tiles, demo model" in text
    assert "| all places of all tiles together | 0.988 |" in text
    assert "takes 1.2 % more" in text
    assert "120 synthetic tiles" in text


def test_ratios_are_of_pairs_that_were_timed_side_by_side(tables):
    import harness

    calls = []
    spent = harness.take_turns(
        {"a": lambda one: calls.append(("a", one)), "b": lambda one: calls.append(("b", one))}, [1, 2]
    )
    assert calls[:2] == [("a", 1), ("b", 1)], "warm-up"
    assert [{*calls[2:4]}, {*calls[4:]}] == [{("a", 1), ("b", 1)}, {("a", 2), ("b", 2)}], "then turns"
    assert [len(times) for times in spent.values()] == [2, 2]
    assert harness.ratio({"slow": [10.0, 40.0, 9.0], "fast": [5.0, 10.0, 3.0]}, "slow", "fast") == 3.0


def test_noise_is_how_far_the_medians_of_the_rounds_differ(tables):
    import harness

    assert harness.spread([1.0, 1.0, 9.0, 2.0, 2.0, 0.0], rounds=2) == 0.6667  # medians 1 and 2
    assert harness.spread([3.0, 3.0], rounds=2) == 0.0


TIMES = {"p50": 1.234, "p90": 2.0, "p99": 3.0, "spread": 0.05}
RATE = {"tiles_per_second": 20.0, "spread": 0.01}


STAGES = ("read", "filter", "quality", "stain", "infer", "write")


def bench_record(**measured):
    one = {
        "tissue": 30, "rounds": 3, "stages": dict.fromkeys(STAGES, TIMES), "background": None,
        "network": RATE, "stream": RATE | {"tiles_per_second": 19.0}, "joules": None,
        "no_joules": "no counter",
    }  # fmt: skip
    report = {
        "model": "m 1", "scheme": "int8", "tile_px": 512, "runtime": "litert", "version": "2", "tiles": "t",
        "start": {"importing": 0.5, "model": 0.1, "runtime": 0.2, "first_tile": 0.3, "whole": 1.26},
        "memory": {"steady_mb": 300.4, "peak_mb": 320.0},
    }  # fmt: skip
    return {"machine": MACHINE, "threads": {"1": report | {"measured": one | measured}}}


def test_stages_become_a_row_each_and_what_is_not_told_is_said(tables):
    text = "\n".join(tables.bench(bench_record()))
    assert "| infer | 1.23 | 2.00 | 3.00 | 5 % |" in text
    assert "| background, beyond reading | - | - | - | - |" in text
    assert "the stream 19.0 (95 %)" in text
    assert "first result 1.3 s" in text
    assert "holds 300 MB (at most 320)" in text
    assert "Energy: not available (no counter)" in text
    text = "\n".join(tables.bench(bench_record(joules=0.5, background=TIMES)))
    assert "0.50 J per tile" in text
    assert "| background, beyond reading | 1.23 |" in text


PEERS = {
    "machine": MACHINE, "weights": "random", "tile_px": 512, "pairs": 36, "versions": {"torch": "2"},
    "logits": {"LiteRT int8 (her2edge)": 0.1, "PyTorch <float32>": 2e-7},
    "times": {"LiteRT int8 (her2edge)": {"median_ms": 50.0}, "PyTorch <float32>": {"median_ms": 400.0}},
    "spread": {"LiteRT int8 (her2edge)": 0.01, "PyTorch <float32>": 0.02},
    "ratios": {"LiteRT int8 (her2edge)": {"PyTorch <float32>": 8.04}},
    "tuned": {"plan": "litert, 2 x 1 thread", "name": "LiteRT int8 (her2edge)"},
    "all_cores": {"LiteRT, 2 x 1": [40.0, 42.0, 41.0]},
    "picture": "results/m.svg",
}  # fmt: skip


def test_peers_become_a_row_each_with_how_many_times_as_long_they_take(tables):
    text = "\n".join(tables.peers(PEERS))
    assert "| PyTorch <float32> | 400.0 | 2.0 % | 2e-07 | 8.0 times | 8.0 times |" in text
    assert "| LiteRT int8 (her2edge) | 50.0 | 1.0 % | 1e-01 | - | - |" in text
    assert "LiteRT, 2 x 1 41.0" in text
    assert "(results/m.svg)" in text


def test_a_result_with_peers_has_its_picture_beside_it(tables, monkeypatch, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "m.json").write_text(json.dumps({"peers": PEERS}))
    (results / "other.json").write_text("{}")
    monkeypatch.setattr(tables, "RESULTS", results)
    assert [path for path, _ in tables.pictures()] == [results / "m.svg"]


def test_bars_of_the_picture_are_as_long_as_the_times(tables):
    from xml.etree import ElementTree

    root = ElementTree.fromstring(  # noqa: S314
        tables.picture(PEERS)
    )
    bars = [bar for bar in root if bar.tag.endswith("rect")][1:]
    assert [float(bar.get("width")) for bar in bars] == [50.0, 400.0]
    assert len({bar.get("fill") for bar in bars}) == 2


def test_reading_is_told_part_by_part(tables):
    found = {"machine": MACHINE, "slide_tiles": 20, "times": {"OpenSlide": 4.141, "directly": 1.7}}
    rows = list(tables.decode(found))
    assert rows[-2:] == ["| OpenSlide | 4.14 |", "| directly | 1.70 |"]


def test_the_streams_share_stands_beside_its_bound_and_where_the_rest_is(tables):
    former = {"network": RATE, "stream": RATE, "busy": 0.961, "wanted": 0.95}
    one = former | {"bound": 0.8, "of_bound": 1.201, "occupied": 0.987, "slower": 1.023}
    found = {"machine": MACHINE, "model": "m", "slide": "s", "tile_px": 512}
    rows = list(tables.pipeline(found | {"placements": {"then": former, "now": one}}))
    assert rows[-2:] == [
        "| then | 20.00 | 20.00 | 0.961 | - | - | - | - |",
        "| now | 20.00 | 20.00 | 0.961 | 0.800 | 1.201 | 98.7 % | 1.023 |",
    ]


@pytest.mark.parametrize(
    ("threads", "stream", "said"),
    [(1, 19.1, "bound 1.000: 0.955 of it, 0.95 wanted: met"), (1, 18.9, "0.945 of it, 0.95 wanted: missed"),
     (2, 16.0, "bound 0.833: 0.960 of it, 0.95 wanted: met"), (2, 15.8, "0.948 of it, 0.95 wanted: missed")],
)  # fmt: skip
def test_the_bound_of_the_stream_is_by_the_processor_time_of_its_own_round(
    tables, monkeypatch, capsys, threads, stream, said
):
    """20 tiles/s of the network, 100 ms of processor time each; 20 ms before it: 100 / 120 where no core is
    left. A tile is 55 ms in the network, beside 50 alone."""
    import pipeline

    from her2edge.runtime import Plan

    found = pipeline.Round(alone=20.0, stream=stream, alone_cpu=0.1, stream_cpu=0.12, infer=0.055)
    monkeypatch.setattr(pipeline, "one_round", lambda *_: found)
    monkeypatch.setattr(pipeline, "usable_cores", lambda: 2)
    classifier = type("Classifier", (), {"plan": Plan("litert", threads)})
    kept = pipeline.placed("it", classifier, None, 1)
    assert said in capsys.readouterr().out
    assert (kept["occupied"], kept["slower"]) == pytest.approx((stream * 0.055, 1.1))


def test_the_stream_is_timed_from_its_first_tissue_tile_on(tables, monkeypatch):
    """3 s until then, 1 s for each of four others; two of these are glass."""
    import pipeline

    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: now.seconds)
    monkeypatch.setattr("time.process_time", lambda: 2 * now.seconds)
    monkeypatch.setattr(pipeline, "network_rate", lambda *_: 5.0)

    def stream(_):
        for label, took in ((None, 1.0), ("3+", 2.0), (None, 1.0), ("3+", 1.0), (None, 1.0), ("3+", 1.0)):
            now.seconds += took
            yield SimpleNamespace(label=label, seconds=SimpleNamespace(infer=took / 4))

    engine, plan = SimpleNamespace(runtime=None), SimpleNamespace(interpreters=1)
    classifier = SimpleNamespace(stream=stream, engine=engine, model=None, plan=plan)
    found = pipeline.one_round(classifier, SimpleNamespace(tiles=lambda: None))
    assert found == pipeline.Round(alone=5.0, stream=0.5, alone_cpu=0.0, stream_cpu=4.0, infer=0.25)


def test_a_start_is_told_by_step_in_the_order_in_which_they_begin(tables):
    import start

    once = {"first": 0.8, "processor": 1.0, "spans": {"b": [(0.3, 0.4), (0.5, 0.7)], "a": [(0.0, 0.2)]}}
    again = {"first": 0.6, "processor": 0.9, "spans": {"b": [(0.1, 0.2)], "a": [(0.0, 0.4)]}}
    found = start.summed([once, again, once])
    assert (found["first"], found["least"], found["most"], found["processor"]) == (0.8, 0.6, 0.8, 1.0)
    rows = list(tables.start(found | {"machine": MACHINE, "slide": "s.svs"}))
    assert rows[-2:] == ["| a | 0.000 | 0.200 |", "| b (2 times) | 0.300 | 0.300 |"]


def test_the_first_tissue_tile_in_the_journal_ends_a_measured_start(tables, tmp_path):
    import start

    slide = draw_slide(tmp_path / "s.png")
    options = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP), "--threads", "1"]
    found = start.summed([start.start(slide, options)])
    names = ["start Python", "import Numba", "read and verify the model", "self-test", "open the slide"]
    order = [name for name in found["steps"] if name in names]
    assert order == names
    assert 0 < found["steps"]["self-test"]["begins"] < found["first"]
    with pytest.raises(SystemExit, match="no such file or folder"):
        start.start(tmp_path / "none.svs", [])


def test_nothing_is_timed_where_a_float32_peer_is_another_network(tables, capsys):
    pytest.importorskip("tensorflow")
    import peers

    tiles = [np.full((4, 4, 3), grey, np.uint8) for grey in (1, 2)]
    forms = SimpleNamespace(tiles=tiles, keras=lambda batch, training: batch[:, 0, 0] * 2)
    right, wrong = (lambda tile: tile[:1, 0] * 2.0), (lambda tile: tile[:1, 0] * 2.1)
    found = peers.compare_logits(forms, {"A float32": right, "B int8": wrong})
    assert found == {"A float32": 0.0, "B int8": pytest.approx(0.05)}
    with pytest.raises(SystemExit, match="another network"):
        peers.compare_logits(forms, {"A float32": wrong})


@pytest.mark.slow
def test_the_pytorch_twin_says_what_the_keras_network_says(tables):
    torch = pytest.importorskip("torch")
    import keras
    from twin import Twin, channels_first

    from her2edge_training.network.networks import build_model

    keras.utils.set_random_seed(3)
    network = build_model("se_resnet50", tile_px=64)
    tile = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    with torch.inference_mode():
        said = Twin(network)(torch.from_numpy(channels_first(tile))).numpy()
    wanted = np.asarray(network(tile[np.newaxis].astype(np.float32), training=False))
    np.testing.assert_allclose(said, wanted, rtol=1e-4, atol=1e-5)


def a_report(scheme, **verdict):
    figures = {"tiles": 2000, "slides": 100, "accuracy": 0.975, "flips": 3, "flip_interval": [0.0003, 0.0044],
               "max_difference": 0.0581} | verdict  # fmt: skip
    latency = {"ratio": 3.456, "runtime": "LiteRT 2", "threads": 2}
    model = {"scheme": scheme, "float_layers": [], "flatbuffer_bytes": 26_130_000, "latency": latency}
    return {
        "recipe": "r",
        "manifest_sha256": "0",
        "export": "portable",
        "demo": True,
        "outcome": "passed",
        "layers": [1],
        "model": model | {"verdict": figures},
    }


def test_the_gates_reports_become_a_line_for_each_scheme(tables, monkeypatch, tmp_path):
    import gate

    found = gate.kept([a_report("int8"), a_report("fp32", flips=0)])
    (tmp_path / "m.json").write_text(json.dumps({"gate": {"machine": MACHINE, **found}}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.fill("<!-- table: gate --><!-- end -->")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| scheme", "| fp32", "| int8"]
    assert rows[2] == ("| int8 | 26.1 MB | 97.50 % | 3 | 0.44 % | 0.058 | 3.46 times as long | passed |")
    with pytest.raises(SystemExit):
        gate.kept([a_report("int8"), a_report("fp32", tiles=180)])
    with pytest.raises(SystemExit):
        gate.kept([a_report("int8"), a_report("fp32") | {"manifest_sha256": "1"}])
    twin = gate.kept([a_report("int8"), a_report("int8", tiles=180) | {"recipe": "twin"}])
    (tmp_path / "m.json").write_text(json.dumps({"gate": {"machine": MACHINE, **twin}}))
    assert tables.fill("<!-- table: gate --><!-- end -->").count("| int8 | 26.1 MB") == 2


def whole_record():
    turn = {"seconds": 20.0, "start": 4.0, "first": 4.6, "peak_mb": 399.6}
    slow = turn | {"seconds": 100.0}
    one = {
        "slide": "s.svs", "mb": 3.9, "whole": 1200, "looked_at": 300, "tissue": 40,
        "ran": {"her2edge, LiteRT": [turn, turn | {"seconds": 10.0}, slow], "plain: PyTorch float32": [slow],
                "her2edge --until-settled": [turn]},
        "differs": {"her2edge, LiteRT": 0.0213}, "left_out": {"WSInfer": "wsinfer is not installed"},
        "settled": {"settled": True, "error": 0.05, "seen": 90, "classified": 30},
        "picture": "results/m-small.svg",
    }  # fmt: skip
    needs = {"mb": 812.0, "cuda_mb": 0.0, "versions": {"torch": "2+cpu"}}
    return {
        "machine": MACHINE, "weights": "random", "settled_model": "the demo", "slides": {"small": one},
        "installed": {name: needs | {"cuda_mb": 500.0 * ("plain" in name)} for name in one["ran"]},
    }  # fmt: skip


def test_the_whole_way_gets_a_row_for_each_way_and_says_which_is_left_out(tables, monkeypatch, tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"whole": whole_record()}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.fill("<!-- table: whole --><!-- end -->")
    assert "40 tissue tiles of 300 places, medians of 3 turns" in text
    assert "| her2edge, LiteRT | 2.00 | 2.50 | 20.0 | 4.0 | 4.6 | 400 | 812 | 0.021 |" in text
    assert (
        "| plain: PyTorch float32 | 0.40 | 0.42 | 100.0 | 4.0 | 4.6 | 400 | 812, 500 of it CUDA | - |" in text
    )
    assert "| her2edge --until-settled (another kind of answer) | 1.50 |" in text
    assert "90 of 1,200. Then reading on would change the answer of at most 5 % of slides." in text
    assert "WSInfer is left out: wsinfer is not installed." in text
    (picture,) = tables.pictures()
    assert picture[0] == tmp_path.parent / "results" / "m-small.svg"
    assert "2.00" in picture[1]
    assert "settled" not in picture[1]  # its tiles per second are of another work


def test_a_ways_memory_is_of_all_its_processes_and_its_times_are_what_it_marked(tables, tmp_path):
    from whole_run import run

    program = (
        "import subprocess, sys; sys.path.insert(0, sys.argv[1]); from marks import mark; mark('reading')\n"
        "held = bytearray(b'x') * 80_000_000; mark('first'); mark('first')\n"
        "child = \"held = bytearray(b'x') * 80_000_000; import time; time.sleep(1)\"\n"
        "subprocess.run([sys.executable, '-c', child])\n"
    )
    took = run([sys.executable, "-c", program, str(BENCHMARKS)], tmp_path)
    assert took.peak_mb > 160
    assert 0 < took.start < took.first < took.seconds


def test_a_way_that_fails_says_its_last_line(tables, tmp_path):
    from whole_run import FailedError, run

    with pytest.raises(FailedError, match=r"^ended with 1: ImportError: no such thing$"):
        run([sys.executable, "-c", "raise ImportError('no such thing')"], tmp_path)


def test_what_a_way_brings_along_is_counted_with_what_that_needs(tables):
    from whole_installed import closure, installed

    assert closure(["jinja2"]) == {"jinja2", "markupsafe"}
    numba, llvmlite = installed(["numba"]), installed(["llvmlite"])
    assert numba["mb"] > llvmlite["mb"] > 0 == numba["cuda_mb"]
    with pytest.raises(ImportError, match="no-such-package is not installed"):
        closure(["no-such-package"])


def test_every_way_gets_the_places_of_the_slide_that_are_tissue(tables, tmp_path):
    import cv2
    from whole_job import Job, read_results, write_results
    from whole_places import find_job

    pixels = np.full((1100, 1600, 3), 250, np.uint8)  # 3 x 2 whole places, and what reaches over the edge
    pixels[:512, 512:1024] = pixels[512:1024, :512] = (120, 60, 160)
    cv2.imwrite(str(tmp_path / "s.png"), pixels)
    find_job(tmp_path / "s.png", 0.25, 0, tmp_path, tmp_path, None).write(tmp_path / "job.json")
    job = Job.read(tmp_path / "job.json")
    assert job.places == [(1, 0), (0, 1)]
    assert (job.looked_at, job.whole, job.corners) == (6, 12, [(512, 0), (0, 512)])
    (tmp_path / "out").mkdir()
    write_results(tmp_path / "out", job, [(0.1, 0.2, 0.7), (1.0, 0.0, 0.0)])
    assert read_results(tmp_path / "out", job) == {(1, 0): (0.1, 0.2, 0.7), (0, 1): (1.0, 0.0, 0.0)}


def test_a_way_that_left_out_a_place_or_ran_another_network_ends_the_benchmark(tables, tmp_path):
    from whole_compare import check
    from whole_job import Job
    from whole_ways import REFERENCE

    job = Job("s", 0.25, 512.0, 2, 2, [(0, 0), (1, 0)], "r", "f", None)
    right = {(0, 0): (0.5, 0.5), (1, 0): (0.25, 0.75)}
    assert check(job, {REFERENCE: right, "her2edge, LiteRT": right}) == {"her2edge, LiteRT": 0.0}
    with pytest.raises(SystemExit, match="classified 1 places, 1 of the 2 expected"):
        check(job, {REFERENCE: right, "her2edge, LiteRT": {(0, 0): (0.5, 0.5)}})
    other = right | {(1, 0): (0.75, 0.25)}
    with pytest.raises(SystemExit, match=r"differs by 0\.5, expected at most 0\.2"):
        check(job, {REFERENCE: right, "her2edge, LiteRT": other})
    near = right | {(1, 0): (0.35, 0.65)}  # as much as int8 may, more than float32
    assert check(job, {REFERENCE: right, "her2edge, LiteRT": near}) == {"her2edge, LiteRT": 0.1}
    with pytest.raises(SystemExit, match=r"differs by 0\.1, expected at most 0\.0625"):
        check(job, {REFERENCE: right, "TIAToolbox PatchPredictor": near})
