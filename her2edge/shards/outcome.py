"""Outcome: what became of a slide of a cohort; and the seam between slides and whatever schedules them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from her2edge.attempts import SetAside
from her2edge.cohort import CohortSlide
from her2edge.results import SlideRun

PATIENCE = 60.0  # seconds
_POLL = 2.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """What became of a slide.

    run: its results, of now or of before; None: it has none, and reason, one line, says why.
    exit_code: what `her2edge classify` would have ended with; 0 where there are results.
    aside, file: where it is not tried again: its record, and that one's name in failed/.
    busy: another process is at work on it. ends: no other slide would fare better, so none is begun.
    """

    slide: CohortSlide
    run: SlideRun | None = None
    reason: str = ""
    exit_code: int = 0
    aside: SetAside | None = None
    file: str = ""
    busy: bool = False
    ends: bool = False


Engine = Callable[[list[CohortSlide]], Iterable[Outcome]]  # in any order, each slide once


def outcomes(
    engine: Engine,
    slides: Iterable[CohortSlide],
    *,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Outcome]:
    """What becomes of every slide, as it comes; nothing more after one that `ends`.

    Slides that another process is at are looked at again when the others are done, until none of them has
    got any further for `patience` seconds: then they are told as they are.
    """
    waiting, until = list(slides), clock() + patience
    while waiting:
        busy = []
        for outcome in engine(waiting):
            if outcome.busy:
                busy.append(outcome)
                continue
            yield outcome
            if outcome.ends:
                return
        if len(busy) < len(waiting):
            until = clock() + patience
        waiting = [one.slide for one in busy]
        if waiting and clock() >= until:
            yield from busy
            return
        if waiting:
            sleep(_POLL)
