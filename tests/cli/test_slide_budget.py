"""her2edge doctor --slide-budget: what a slide takes here, from tiles that were timed here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from her2edge import Model
from her2edge.runtime import RUNTIMES, Host
from her2edge_cli.doctor import lines
from her2edge_cli.main import main
from her2edge_cli.measure.budget import SETTLED, Maps, budget_of, slide_budget
from her2edge_cli.measure.figures import Rate
from her2edge_cli.measure.health import examine
from her2edge_cli.parts import Parts

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "statistics.json"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """LiteRT alone, to keep it short."""
    absent = {
        name: replace(RUNTIMES[name], package="her2edge-has-none") for name in ("openvino", "tflite-runtime")
    }
    return Host(state=tmp_path / "state", runtimes=RUNTIMES | absent)


def test_minutes_and_watts_are_those_of_the_tiles_that_were_timed() -> None:
    one = budget_of(
        Rate(10.0, 0.02), plan="litert, 1 x 2 threads", timed=24, joules=1.5, no_watts=None,
        settled=[Maps((60, 30, 10), 120, 240)],
    )  # fmt: skip
    assert (one.ms, one.minutes, one.slide_tiles) == (100.0, 8.33, 5000)
    assert (one.settled[0].minutes, one.settled[0].p90_minutes) == (0.2, 0.4)
    assert (one.watts, one.joules) == (15.0, 1.5), "1.5 J in a tenth of a second"
    dark = budget_of(Rate(10.0, 0.0), plan="p", timed=1, joules=None, no_watts="no counter")
    assert (dark.watts, dark.joules, dark.no_watts) == (None, None, "no counter")


def test_tiles_until_settled_are_those_of_the_kept_benchmark() -> None:
    rows = json.loads(RESULTS.read_text())["settle"]["rows"]
    kept = {tuple(row["shares"]): (row["with_rules"], row["with_rules_p90"]) for row in rows if row["length"]}
    assert {one.shares: (one.tiles, one.p90) for one in SETTLED}.items() <= kept.items()


def test_tiles_are_timed_with_the_model_that_is_asked_for() -> None:
    said: list[str] = []
    one = slide_budget(Model.load(tiny.INT8), said.append, tiles=4, rounds=2)
    assert said == ["warm-up", "round 1 of 2", "round 2 of 2"]
    assert one.ms > 0
    assert one.minutes == pytest.approx(5000 * one.ms / 60_000, abs=0.01)
    assert [line.minutes <= line.p90_minutes <= one.minutes for line in one.settled] == [True] * 4
    assert (one.watts is None) == (one.no_watts is not None)


def test_the_command_says_it_in_words_and_in_json(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tiny.INT8), "--slide-budget"], Parts(host=host)) == 0
    out = capsys.readouterr()
    words = out.out
    assert "every tile of 5,000 tissue tiles" in words
    assert words.count("settled    labels ") == 4
    assert "power " in words
    assert words.splitlines()[-1] == "healthy: this machine classifies"
    assert "slide budget, round 3 of 3" in out.err
    assert main(["doctor", str(tiny.INT8), "--slide-budget", "--json"], Parts(host=host)) == 0
    report = json.loads(capsys.readouterr().out)["budget"]
    assert set(report) == {
        "plan", "tiles", "timed", "ms", "spread", "slide_tiles", "minutes", "settled", "watts", "joules",
        "no_watts",
    }  # fmt: skip


def test_without_the_option_nothing_is_timed_and_an_unhealthy_machine_has_no_budget(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine(tiny.INT8, None, host).budget is None
    assert not [line for line in lines(examine(tiny.INT8, None, host)) if "tissue tiles" in line]
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(tiny.INT8.read_bytes()[:-1])
    assert main(["doctor", str(bad), "--slide-budget"], Parts(host=host)) == 78
    assert "tissue tiles" not in capsys.readouterr().out
