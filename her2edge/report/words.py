"""The words of a page: what the answer is, what to do, what became of each tile."""

from __future__ import annotations

from her2edge.answer import SlideAnswer
from her2edge.answer.words import ACTION, answer_line
from her2edge.text import percent

WHY = {
    "edge": "edge of the tissue or of the slide: much glass",
    "blurred": "out of focus",
    "pen": "pen marks",
    "over_exposed": "over-exposed",
    "no_stain": "no two stains",
    "compressed": "traces of strong compression",
    "novel": "unlike what the model was trained on",
    "unfitted": "stains could not be fitted",
    "glass": "glass, no tissue",
    "pale": "pale tissue, for example fat",
    "too_little": "too little tissue",
    "not_decoded": "glass by a coarse level, not decoded",
    "background": "background",
    "failed": "could not be read or classified",
    "dropped": "dropped before it was read",
    "cancelled": "cancelled before it was read",
    "unread": "not read: the reading ended before",
}

WITHHELD = "the reason may name files: make the page without --pseudonym to see it"


def why(reason: str) -> str:
    """A reason in words; one that is not known here by its own word."""
    return WHY.get(reason, reason.replace("_", " "))


def headline(answer: SlideAnswer, remark: str = "") -> str:
    """`3+`, `0/1+ or 2+`, `Not assessable`; remark: stands behind each label."""
    if not answer.assessable:
        return "Not assessable"
    return " or ".join(f"{label}{remark}" for label in answer.labels)


def action(answer: SlideAnswer) -> str:
    """What to do, a sentence or two. Never a treatment."""
    do = f"{ACTION[0].upper()}{ACTION[1:]}."
    if not answer.assessable:
        return f"The model gives no class for this slide. {do}"
    if len(answer.labels) > 1:
        return f"The model cannot tell these classes apart on this slide. {do}"
    if ACTION in answer_line(answer):
        return do
    return f"This is no diagnosis: the IHC decides. {do}"


def part(count: int, total: int) -> str:
    """`19 of 24 (79 %)`."""
    return f"{count:,} of {total:,}" + (f" ({percent(count / total)})" if total else "")


def number(value: float) -> str:
    """A coordinate as tiles.csv has it, without decimals where there are none."""
    text = f"{value:.2f}"
    return text.removesuffix(".00")
