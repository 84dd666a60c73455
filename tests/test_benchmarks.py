"""The figures that documents show are those that were measured and kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

MACHINE = {"processor": "p", "cores": 2, "system": "s"}


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tables

    yield tables
    for name in ("tables", "harness", "gate", "images"):
        sys.modules.pop(name, None)


def test_the_readmes_tables_are_those_of_the_kept_results(tables):
    for path, parts in zip(tables.DOCUMENTS, (2, 1), strict=True):
        text = path.read_text()
        assert text.count("<!-- table: ") == text.count("<!-- end -->") >= parts
        assert tables.fill(text) == text


def test_another_result_makes_another_table(tables, monkeypatch, tmp_path):
    (kept,) = sorted(tables.RESULTS.glob("*.json"))[:1]
    record = json.loads(kept.read_text())
    record["kernels"]["512"]["times"]["fast"]["median_ms"] = 123.456
    (tmp_path / "other.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "123.46" in tables.fill(tables.README.read_text())


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
    assert calls == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]  # warm-up, then turns
    assert [len(times) for times in spent.values()] == [2, 2]
    assert harness.ratio({"slow": [10.0, 40.0, 9.0], "fast": [5.0, 10.0, 3.0]}, "slow", "fast") == 3.0


def a_report(scheme, **verdict):
    figures = {"tiles": 2000, "slides": 100, "accuracy": 0.975, "flips": 3, "flip_interval": [0.0003, 0.0044],
               "max_difference": 0.0581} | verdict  # fmt: skip
    latency = {"ratio": 3.456, "runtime": "LiteRT 2", "threads": 2}
    model = {"scheme": scheme, "float_layers": [], "flatbuffer_bytes": 26_130_000, "latency": latency}
    return {
        "recipe": "r",
        "manifest_sha256": "0",
        "export": "portable",
        "deflated_bytes": None,
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
