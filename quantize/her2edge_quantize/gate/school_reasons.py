"""Why the gate refuses a student, from its figures beside the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from her2edge.model.records import Verdict
from her2edge.model.slide_records import StudentLimits, Unsure
from her2edge.text import percent

_BRING = "--unsure-data takes slides, folders or lists, as --gate-data does"


def school_reasons(verdict: Verdict, unsure: Unsure, labels: Sequence[str]) -> Iterator[str]:
    """A line each, with the way out; none where the student passes. labels: in the order of severity."""
    limits = unsure.limits
    yield from (f"beside the teacher: {reason}" for reason in verdict.reasons)
    if verdict.slides < limits.slides:
        yield (
            f"beside the teacher: not shown: tiles of {verdict.slides} slides, expected {limits.slides}: "
            "bring more with --gate-data"
        )
    if unsure.tiles < limits.unsure_tiles or unsure.slides < limits.unsure_slides:
        yield (
            f"where the teacher is unsure: not shown: {unsure.tiles} tiles of {unsure.slides} slides, "
            f"expected {limits.unsure_tiles} of {limits.unsure_slides}: bring tissue that lies between "
            f"classes ({_BRING})"
        )
    if not unsure.tiles:
        return
    if unsure.agree < limits.agreement * unsure.tiles:
        yield (
            f"where the teacher is unsure: the student agrees on {unsure.agree} of {unsure.tiles} tiles "
            f"({percent(unsure.agree / unsure.tiles, 1)}), limit {percent(limits.agreement, None)}; turned "
            f"by 90 degrees the teacher agrees with itself on {percent(unsure.turned / unsure.tiles, 1)}: "
            "teach longer, with such tissue among the tiles"
        )
    yield from _shares(unsure, limits, labels)


def _shares(unsure: Unsure, limits: StudentLimits, labels: Sequence[str]) -> Iterator[str]:
    """Classes between the first and the last: a student that makes them smaller takes sides on each slide."""
    middle = range(1, len(labels) - 1)
    for place in middle:
        taught, given = unsure.teacher_classes[place], unsure.classes[place]
        if abs(given - taught) > limits.share * taught:
            yield (
                f"where the teacher is unsure: the student calls {given} tiles {labels[place]}, the teacher "
                f"{taught}, limit {percent(limits.share, None)} more or less"
            )
