"""What is printed of a slide: the answer, what limits it, its tiles, its files; in this order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from her2edge import Model, SlideRun, answer_slide
from her2edge.answer import Reason, ReasonCode, Status
from her2edge.answer.words import answer_line
from her2edge.regions import RegionsRead
from her2edge_cli.announce import show

NOTHING = answer_slide([], Model.demo())


@pytest.mark.parametrize("reasons", [0, 1, 3, 5])
def test_the_answer_comes_first_then_at_most_three_reasons(
    capsys: pytest.CaptureFixture[str], reasons: int
) -> None:
    codes = list(ReasonCode)[:reasons]
    answer = replace(
        NOTHING,
        reasons=tuple(Reason(code, f"Sentence {number}.") for number, code in enumerate(codes)),
        status=Status.ANSWERED,
        tissue_classified=0.28,
    )
    run = SlideRun("a.svs", answer, Path("out"), (Path("out") / "tiles.csv",))
    show(run, replace(answer, labels=("3+ (demo model)",)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a.svs: {answer_line(replace(answer, labels=('3+ (demo model)',)))}"
    assert lines[1 : 1 + min(3, reasons)] == [f"  Sentence {number}." for number in range(min(3, reasons))]
    more = ["  and 2 more in summary.json"] if reasons == 5 else []
    rest = ["  0 tiles: 0 pooled", "  classified 28 % of the tissue", f"  {Path('out') / 'tiles.csv'}"]
    assert lines[1 + min(3, reasons) :] == [*more, *rest]


def test_the_reason_that_a_slide_is_not_assessable_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentences = [f"Sentence {number}." for number in range(4)]
    reasons = tuple(map(Reason, list(ReasonCode)[:4], sentences))
    answer = replace(NOTHING, status=Status.NOT_ASSESSABLE, labels=(), reasons=reasons)
    show(SlideRun("a.svs", answer, Path("out"), ()), answer)
    printed = capsys.readouterr().out
    assert printed.splitlines()[:4] == [
        "a.svs: not assessable: Sentence 0",
        "  Sentence 1.",
        "  Sentence 2.",
        "  and 1 more in summary.json",
    ]


def test_an_overridden_gate_is_in_the_line_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    show(SlideRun("a.svs", NOTHING, Path("out"), ()), NOTHING, overridden=True)
    assert capsys.readouterr().out.splitlines()[0].endswith(" (gate overridden)")


def test_that_only_regions_were_read_is_in_the_line_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    read = RegionsRead(sha256="ab" * 32, classes=("Tumor",), places=13, file="drawn.geojson")
    show(SlideRun("a.svs", NOTHING, Path("out"), (), regions=read), NOTHING)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a.svs, only inside regions: {answer_line(NOTHING)}"
    assert lines[1] == "  Only of the 13 tiles inside regions: drawn.geojson, Tumor."
