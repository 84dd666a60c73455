"""A pathologist's score beside an answer: whether they agree."""

from __future__ import annotations

from enum import StrEnum

from her2edge.answer import SlideAnswer
from her2edge.results.scored import label_of_score


class Beside(StrEnum):
    """How an answer stands beside a score."""

    AGREES = "agrees"
    AMONG = "among several"
    DIFFERS = "differs"
    NO_ANSWER = "no answer"
    UNKNOWN = "not comparable"


def compared(score: str, answer: SlideAnswer | None) -> Beside | None:
    """None where nobody scored. answer: None where the slide has none."""
    if not score.strip():
        return None
    if answer is None:
        return Beside.NO_ANSWER
    label = label_of_score(score, tuple(answer.shares))
    if label is None:
        return Beside.UNKNOWN
    if not answer.labels:
        return Beside.NO_ANSWER
    if label not in answer.labels:
        return Beside.DIFFERS
    return Beside.AGREES if len(answer.labels) == 1 else Beside.AMONG
