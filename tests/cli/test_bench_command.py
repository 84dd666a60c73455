"""her2edge bench: what it says is what was measured, and what cannot be measured is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from functools import partial

import cv2
import msgspec
import numpy as np
import pytest
import tiny
from engines import with_network
from shared_data import SHARED, needs

from her2edge import Model, Options, TileClassifier
from her2edge.errors import InferenceError
from her2edge.ordered import Deferred
from her2edge.slide import UnreadableTile
from her2edge_cli.main import main
from her2edge_cli.measure import energy, process, stages, whole
from her2edge_cli.measure.figures import rate, times
from her2edge_cli.measure.tiles import Sample, sample_of
from her2edge_cli.parts import Parts

STAGES = ("read", "filter", "quality", "stain", "infer", "write")


# Fresh processes take seconds; one test starts them.
NO_PROCESSES = whole.Fresh(lambda *_: process.Start(0.1, 0.2, 0.3, 0.4, 1.5), lambda _: None)


@pytest.fixture
def folder(tmp_path):
    """Five tiles of tissue, two of glass and a file that is no image."""
    folder = tmp_path / "tiles"
    folder.mkdir()
    for i, tile in enumerate([*(tile.pixels for tile in tiny.tissue(5)), tiny.glass(), tiny.glass()]):
        cv2.imwrite(str(folder / f"{i}.png"), cv2.cvtColor(tile, cv2.COLOR_RGB2BGR))
    (folder / "9.png").write_bytes(b"no image")
    return folder


def test_percentiles_are_nearest_ranks_and_the_spread_is_of_the_medians():
    spent = times([[1.0, 2.0, 30.0], [2.0, 3.0, 4.0]])
    assert (spent.p50, spent.p90, spent.p99) == (2.0, 30.0, 30.0)
    assert spent.spread == 0.4  # medians 2 and 3
    hundred = times([[float(i) for i in range(1, 101)]])
    assert (hundred.p50, hundred.p90, hundred.p99, hundred.spread) == (50.0, 90.0, 99.0, 0.0)
    assert rate([10.0, 8.0, 9.0]).tiles_per_second == 9.0
    assert rate([10.0, 8.0, 9.0]).spread == pytest.approx(2 / 9, abs=1e-4)


def test_every_stage_is_in_words_and_in_json(capsys, folder):
    arguments = [str(tiny.INT8), "--slide", str(folder), "--rounds", "2", "--threads", "1"]
    assert main(["bench", *arguments], Parts(fresh=NO_PROCESSES)) == 0
    words = capsys.readouterr().out
    for word in (*STAGES, "background", "network", "stream", "busy", "cold start", "memory", "energy"):
        assert re.search(rf"^{word} ", words, re.MULTILINE), word
    assert "Research use only" in words
    assert "not available: there is no /proc" in words
    assert main(["bench", *arguments, "--json"], Parts(fresh=NO_PROCESSES)) == 0
    report = json.loads(capsys.readouterr().out)
    measured = report["measured"]
    assert (measured["tissue"], measured["background_tiles"], measured["unreadable"]) == (5, 2, 1)
    assert set(measured["stages"]) == set(STAGES)
    assert all(0 < t["p50"] <= t["p90"] <= t["p99"] for t in measured["stages"].values())
    assert (report["threads"], report["runtime"], report["scheme"]) == (1, "litert", "int8")


class Clock:
    """Moved by hand, from any thread."""

    def __init__(self):
        self.now, self._lock = 0.0, threading.Lock()

    def spend(self, milliseconds):
        with self._lock:
            self.now += milliseconds / 1e3


def test_a_stage_is_as_long_as_what_is_done_in_it_and_the_warm_up_does_not_count(folder, monkeypatch):
    """1 ms to read, 4 in the network; the reads of the warm-up take ten times as long."""
    clock, reads = Clock(), []
    model = Model.load(tiny.INT8)
    classifier = TileClassifier(model, Options(threads=1))
    network = classifier.engine.runtime
    classifier = with_network(classifier, logits=lambda pixels: clock.spend(4) or network.logits(pixels))

    class Slow(Sample):
        def tiles(self):
            for tile in tiny.tissue(5):
                reads.append(1)
                clock.spend(10 if len(reads) <= 2 * 5 else 1)
                yield tile

    with sample_of(folder, None, model, 5) as sample:
        sample = Slow(sample.name, sample.path, sample.reader, model, 5)
        monkeypatch.setattr("time.perf_counter", lambda: clock.now)
        measured = stages.measure(classifier, sample, 2, lambda _: None)
    assert {name: round(t.p99, 6) for name, t in measured.stages.items()} == {
        "read": 1.0, "filter": 0.0, "quality": 0.0, "stain": 0.0, "infer": 4.0, "write": 0.0,
    }  # fmt: skip
    assert measured.network.tiles_per_second == 250.0
    assert measured.stream.tiles_per_second == 200.0
    assert measured.busy == pytest.approx(0.8)  # by turns, as this clock has it
    assert measured.background is None


@pytest.mark.parametrize("argument", ["--tiles", "--rounds", "--threads"])
def test_none_of_something_is_a_wrong_command_line(argument, capsys):
    assert main(["bench", str(tiny.INT8), argument, "0"]) == 2
    assert argument in capsys.readouterr().err


def test_a_model_that_is_not_ours_is_refused(tmp_path, capsys):
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(Model.load(tiny.INT8).flatbuffer)
    assert main(["bench", str(plain)]) == 78
    assert "a .tflite of another program" in capsys.readouterr().err
    assert main(["bench", str(tmp_path / "none.tflite")]) == 66


def test_a_slide_that_cannot_be_read_is_named(tmp_path, capsys):
    path = tmp_path / "case.svs"
    path.write_bytes(b"no slide at all")
    assert main(["bench", str(tiny.INT8), "--slide", str(path)]) == 65
    assert "case.svs" in capsys.readouterr().err
    assert main(["bench", str(tiny.INT8), "--slide", str(tmp_path / "none.svs")]) == 66


def test_nothing_but_unreadable_tiles_or_glass_is_no_measurement(tmp_path, capsys):
    for name, data in (("broken", b"no image"), ("glass", cv2.imencode(".png", tiny.glass())[1].tobytes())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(data)
    assert main(["bench", str(tiny.INT8), "--slide", str(tmp_path / "broken")]) == 65
    assert "cannot be decoded" in capsys.readouterr().err
    assert main(["bench", str(tiny.INT8), "--slide", str(tmp_path / "glass")]) == 65
    assert "only background" in capsys.readouterr().err


def test_tiles_of_another_size_are_refused_with_what_was_expected(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((7, 9, 3), np.uint8))
    assert main(["bench", str(tiny.INT8), "--slide", str(tmp_path)]) == 65
    assert f"expected {tiny.SIZE}x{tiny.SIZE}" in capsys.readouterr().err


def test_without_a_runtime_it_says_what_to_install():
    code = f"""
import sys
sys.modules["ai_edge_litert.interpreter"] = None
from her2edge_cli.main import main
raise SystemExit(main(["bench", {str(tiny.INT8)!r}, "--tiles", "1"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    assert "pip install" in done.stderr


@needs("wsi/cmu-1-small-region.svs")
def test_tiles_of_a_slide_are_spread_over_it_and_the_same_each_time():
    model = Model.load(tiny.INT8)
    with sample_of(SHARED / "wsi" / "cmu-1-small-region.svs", None, model, 9) as sample:
        first, second = (list(sample.tiles()) for _ in range(2))
    assert not any(isinstance(tile, UnreadableTile) for tile in first)
    assert len(first) == 9
    assert len({tile.x for tile in first}) == len({tile.y for tile in first}) == 3
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_a_small_folder_lasts_by_passes(folder):
    with sample_of(folder, None, Model.load(tiny.INT8), 2, passes=3) as sample:
        names = [tile.slide for tile in sample.tiles()]
    assert names == ["0.png", "1.png"] * 3


def test_a_measured_stream_reads_in_as_many_threads_as_any(folder):
    """Else its rate is that of one thread that reads, glass included."""
    readers = set()

    class Watched(Sample):
        def _once(self):
            read = super()._once()
            return Deferred((partial(self._seen, call) for call in read.calls), read.at_once)

        def _seen(self, call):
            readers.add(threading.current_thread().name)
            time.sleep(0.02)
            return call()

    model = Model.load(tiny.INT8)
    with sample_of(folder, None, model, 2, passes=8) as sample:
        watched = Watched(sample.name, sample.path, sample.reader, model, 2, 8)
        classifier = TileClassifier(model, Options(threads=1, interpreters=1, readers=3))
        assert len(list(classifier.stream(watched.tiles()))) == 16
    assert len(readers) == 3


def test_one_round_tells_no_noise_and_is_refused(capsys):
    assert main(["bench", str(tiny.INT8), "--rounds", "1"]) == 2
    assert "--rounds" in capsys.readouterr().err


def counters(folder, **zones):
    for name, microjoules in zones.items():
        zone = folder / name.replace("_", ":").replace("intel:rapl", "intel-rapl")
        zone.mkdir(exist_ok=True)
        (zone / "energy_uj").write_text(f"{microjoules}\n")
        (zone / "max_energy_range_uj").write_text("1000000000\n")


def test_energy_is_that_of_all_packages_and_of_no_part_twice(tmp_path):
    counters(tmp_path, intel_rapl_0=5_000_000, intel_rapl_0_0=1, intel_rapl_1=999_000_000)
    meter = energy.Meter(tmp_path)
    counters(tmp_path, intel_rapl_0=7_500_000, intel_rapl_0_0=9_000_000, intel_rapl_1=1_000_000)
    assert meter.joules() == pytest.approx(2.5 + 2.0)  # the second has begun again at 1000 J
    assert meter.reason is None


def test_where_the_kernel_does_not_count_energy_that_is_said(tmp_path):
    meter = energy.Meter(tmp_path)
    assert meter.joules() is None
    assert "no counter" in meter.reason
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir(parents=True)  # what cannot be read, for root too
    meter = energy.Meter(tmp_path)
    assert meter.joules() is None
    assert "cannot be read" in meter.reason


@pytest.mark.slow
def test_a_fresh_process_tells_its_stages_and_its_memory(folder):
    start = process.cold_start(tiny.INT8, {"threads": 1, "interpreters": None, "runtime": "litert"})
    stages_of_it = (start.importing, start.model, start.runtime, start.first_tile)
    assert all(seconds > 0 for seconds in stages_of_it)
    assert sum(stages_of_it) <= start.whole
    memory = process.memory_of_classify([str(folder), "--model", str(tiny.INT8)])
    assert memory is None or 50 < memory.steady_mb <= memory.peak_mb


def test_a_fresh_process_that_fails_says_why():
    with pytest.raises(InferenceError, match="tensorrt"):
        process.cold_start(tiny.INT8, {"runtime": "tensorrt"})


def test_memory_of_a_command_that_fails_is_no_figure(tmp_path):
    with pytest.raises(InferenceError, match=r"ended with 66.*no such file"):
        process.memory_of_classify([str(tmp_path / "none.svs"), "--model", str(tiny.INT8)])


def test_the_report_can_be_written_as_json_whatever_is_missing():
    asked = whole.Asked(tiny.INT8, tiles=3, rounds=1, options=Options(threads=1))
    report = whole.run_bench(asked, lambda _: None, NO_PROCESSES)
    record = json.loads(msgspec.json.encode(report))
    assert record["memory"] is None
    assert record["measured"]["background"] is None
    assert record["tiles"].startswith("synthetic")
