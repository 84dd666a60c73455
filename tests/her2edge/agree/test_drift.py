"""Drift: what changed is flagged in words, what did not is not, and few slides are not judged."""

from __future__ import annotations

from typing import Any

import agreeing
import numpy as np
import pytest

from her2edge import LABELS
from her2edge.agree.drift import DriftLine, drift_lines, level_of_a_line
from her2edge.agree.records import SlideRecord


def month(count: int = 30, seed: int = 1, **fields: Any) -> list[SlideRecord]:
    """Slides of no known score, a third of each answer; novelty about 4 %."""
    random = np.random.default_rng(seed)
    slides = []
    for row in range(count):
        usual = {
            "novelty": float(random.beta(2, 48)), "stains": (1.9 + random.normal(0, 0.1), 1.0),
            "codes": {"blurred": float(random.beta(1, 40)), "pen": 0.0},
        }  # fmt: skip
        answer = fields.get("answer", LABELS[row % 3])
        more = {name: value for name, value in fields.items() if name != "answer"}
        slides.append(agreeing.record(row, None, answer, **(usual | more)))
    return slides


def lines(now: list[SlideRecord], before: list[SlideRecord]) -> dict[str, DriftLine]:
    return {line.what: line for line in drift_lines(now, before, LABELS)}


def flagged(now: list[SlideRecord], before: list[SlideRecord]) -> set[str]:
    return {what for what, line in lines(now, before).items() if line.flagged}


def test_all_lines_share_an_error_of_one_month_in_twenty() -> None:
    count = len(drift_lines(month(), month(), LABELS))
    assert count * (1 - level_of_a_line(LABELS)) == pytest.approx(0.05)
    assert len(drift_lines(month(), month(), ("low", "high"))) == count - 1
    assert level_of_a_line(("low", "high")) < level_of_a_line(LABELS)


def test_months_like_the_baseline_have_a_flag_once_in_twenty_at_most() -> None:
    """Slides whose shares are skewed and whose answers are drawn, as in benchmarks/drift.py; 30 beside 15."""
    random = np.random.default_rng(3)

    def drawn(count: int) -> list[SlideRecord]:
        answers = random.choice(
            [*LABELS, "ambiguous", "not assessable"], count, p=[0.35, 0.2, 0.2, 0.2, 0.05]
        )
        return [month(1, int(random.integers(1 << 30)), answer=str(one), **skewed())[0] for one in answers]

    def skewed() -> dict[str, Any]:
        poor = random.random(4) < 0.125
        novelty, *codes = np.where(poor, random.beta(2, 6, 4), random.beta(0.5, 25, 4)).tolist()
        names = ("blurred", "over_exposed", "pen")
        stains = tuple((np.array((1.9, 1.0)) * random.lognormal(0, 0.15, 2)).tolist())
        return {"novelty": novelty, "codes": dict(zip(names, codes, strict=True)), "stains": stains}

    false = sum(bool(flagged(drawn(15), drawn(30))) for _ in range(300))
    assert false <= 15


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("novelty", {"novelty": 0.21}),
        ("blurred", {"codes": {"blurred": 0.3}}),
        ("pen", {"codes": {"pen": 0.3}}),
        ("haematoxylin", {"stains": (2.3, 1.0)}),
        ("eosin", {"stains": (1.9, 0.8)}),
        ("not assessable", {"answer": "not assessable", "labels": ()}),
        ("ambiguous", {"answer": "ambiguous"}),
        ("answer 3+", {"answer": "3+"}),
    ],
)
def test_each_figure_that_changes_is_flagged(what: str, changed: dict[str, Any]) -> None:
    assert what in flagged(month(**changed), month(seed=2))


def test_the_words_say_what_was_what_is_and_what_to_do() -> None:
    before = [agreeing.record(row, None, "2+", novelty=0.04) for row in range(20)]
    now = [agreeing.record(row, None, "2+", novelty=0.21) for row in range(20)]
    words = lines(now, before)["novelty"].words
    assert words == "novelty was 4.0 %, is 21 %: look before further use"


def test_a_difference_that_is_sure_and_small_is_no_flag() -> None:
    before = [agreeing.record(row, None, "2+", novelty=0.04) for row in range(200)]
    now = [agreeing.record(row, None, "2+", novelty=0.08) for row in range(200)]
    assert not flagged(now, before)


def test_a_difference_that_chance_explains_is_no_flag() -> None:
    before, now = month(30), month(10, answer="3+", labels=("3+",))
    now = [*now[:5], *month(5)]
    line = lines(now, before)["answer 3+"]
    assert line.now is not None
    assert line.before is not None
    assert line.now - line.before > 0.2
    assert not line.flagged


def test_fewer_than_nine_slides_are_not_judged_and_that_is_said() -> None:
    now = month(8, novelty=0.9)
    assert not flagged(now, month())
    assert "too few slides" in lines(now, month())["novelty"].words


def test_what_was_not_measured_is_said_to_be_so() -> None:
    line = lines(month(), month(stains=None))["haematoxylin"]
    assert line.words == "haematoxylin: not measured in the baseline"
    assert lines(month(stains=None), month())["eosin"].words == "eosin: not measured"


def test_slides_without_results_and_second_slides_of_a_patient_do_not_count() -> None:
    more = [*month(9, answer="no results", labels=()), *month(9, novelty=0.9, counts=False)]
    assert lines([*month(), *more], month()) == lines(month(), month())
