"""The figures that documents show are those that were measured and kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tables

    yield tables
    for name in ("tables", "harness"):
        sys.modules.pop(name, None)


def test_the_readmes_tables_are_those_of_the_kept_results(tables):
    text = tables.README.read_text()
    assert text.count("<!-- table: ") == text.count("<!-- end -->") >= 2
    assert tables.fill(text) == text


def test_another_result_makes_another_table(tables, monkeypatch, tmp_path):
    (kept,) = sorted(tables.RESULTS.glob("*.json"))[:1]
    record = json.loads(kept.read_text())
    record["kernels"]["512"]["times"]["fast"]["median_ms"] = 123.456
    (tmp_path / "other.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "123.46" in tables.fill(tables.README.read_text())


def test_ratios_are_of_pairs_that_were_timed_side_by_side(tables):
    import harness

    calls = []
    spent = harness.take_turns(
        {"a": lambda one: calls.append(("a", one)), "b": lambda one: calls.append(("b", one))}, [1, 2]
    )
    assert calls == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]  # warm-up, then turns
    assert [len(times) for times in spent.values()] == [2, 2]
    assert harness.ratio({"slow": [10.0, 40.0, 9.0], "fast": [5.0, 10.0, 3.0]}, "slow", "fast") == 3.0
