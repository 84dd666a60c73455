"""A pathologist's score beside an answer: whether they agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from her2edge.answer import SlideAnswer

_WORDS = re.compile(r"^(her2|ihc|score)[\s:=_-]*", re.I)


class Beside(StrEnum):
    """How an answer stands beside a score."""

    AGREES = "agrees"
    AMONG = "among several"
    DIFFERS = "differs"
    NO_ANSWER = "no answer"
    UNKNOWN = "not comparable"


def label_of(score: str, labels: Sequence[str]) -> str | None:
    """The label that a written score stands for: `1+`, `IHC 1+` and `1` are `0/1+`; None where it is none.

    labels: a label may hold several scores, `/` between them.
    """
    text = score.strip()
    while _WORDS.match(text):
        text = _WORDS.sub("", text, count=1)
    text = text.strip().casefold()
    if text in ("1", "2", "3"):
        text += "+"
    whole = [label for label in labels if label.casefold() == text]
    parts = [label for label in labels if text and text in label.casefold().split("/")]
    return next(iter([*whole, *parts]), None)


def compared(score: str, answer: SlideAnswer | None) -> Beside | None:
    """None where nobody scored. answer: None where the slide has none."""
    if not score.strip():
        return None
    if answer is None:
        return Beside.NO_ANSWER
    label = label_of(score, tuple(answer.shares))
    if label is None:
        return Beside.UNKNOWN
    if not answer.labels:
        return Beside.NO_ANSWER
    if label not in answer.labels:
        return Beside.DIFFERS
    return Beside.AGREES if len(answer.labels) == 1 else Beside.AMONG
