"""Drift: what the slides of a month are like beside those of the baseline. No known score is needed.

Rule: a line is flagged where the interval of its difference excludes 0 and the difference is large: five
points of a share, a tenth of an optical density. All lines share an error of 5 %: with twelve, each interval
is of 99.6 %, so that at most one month in twenty has a flag by chance alone (benchmarks/drift.py). Below nine
patients on either side nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from her2edge.agree.records import AMBIGUOUS, NO_RESULTS, NOT_ASSESSABLE, Count, Fraction, SlideRecord
from her2edge.agree.shares import Interval, difference_of_means, difference_of_shares
from her2edge.answer.sets import FEWEST_OF_A_CLASS
from her2edge.quality import Code
from her2edge.text import percent

ERROR = 0.05  # of months that have a flag by chance, all lines together
POINTS = 0.05  # of a share
PART = 0.1  # of an optical density
FEWEST = FEWEST_OF_A_CLASS  # patients on either side
LOOK = "look before further use"
_CODES = (Code.BLURRED, Code.OVER_EXPOSED, Code.NO_STAIN, Code.PEN)
_STAINS = ("haematoxylin", "eosin")
_NO_ANSWER = (NOT_ASSESSABLE, AMBIGUOUS)

Kind = Literal["tiles", "patients", "density"]


class DriftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, before and now. kind: tiles: share of a slide's tiles, mean over slides; patients: share of
    patients; density: optical density, mean over slides. before, now: None where nothing was measured; of:
    how many slides that is. interval: of now - before, at `level_of_a_line`. judged: slides are enough.
    """

    what: str
    kind: Kind
    before: float | None
    before_of: Count
    now: float | None
    now_of: Count
    interval: Interval | None
    judged: bool
    flagged: bool

    @property
    def words(self) -> str:
        """`novelty was 4 %, is 21 %: look before further use`."""
        if self.before is None or self.now is None:
            return f"{self.what}: not measured{' in the baseline' * (self.now is not None)}"
        line = f"{self.what} was {self.figure(self.before)}, is {self.figure(self.now)}"
        if not self.judged:
            return f"{line}: too few slides to judge by ({self.before_of} and {self.now_of}, {FEWEST} wanted)"
        return f"{line}: {LOOK}" if self.flagged else line

    def figure(self, value: float) -> str:
        """As people read it; a share below ten points keeps a decimal."""
        if self.kind == "density":
            return f"{value:.2f}"
        return percent(value, 1 if 0 < value < 0.1 else 0)


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """baseline: SHA-256 of its agree.json; first, last: when its slides were read. level: of each line's
    interval."""

    baseline: str
    level: Fraction
    first: str
    last: str
    lines: tuple[DriftLine, ...]

    @property
    def flagged(self) -> tuple[DriftLine, ...]:
        return tuple(line for line in self.lines if line.flagged)


def drift_lines(
    now: Sequence[SlideRecord], before: Sequence[SlideRecord], labels: Sequence[str]
) -> tuple[DriftLine, ...]:
    """Slides that count and have results, beside those of the baseline. labels: the model's."""
    sides, level = (_read(now), _read(before)), level_of_a_line(labels)
    return (*_of_tiles(*sides, level), *_of_stains(*sides, level), *_of_patients(*sides, labels, level))


def level_of_a_line(labels: Sequence[str]) -> float:
    """Of the interval of one line, 0..1, where all lines share the error (Bonferroni)."""
    return 1 - ERROR / (1 + len(_CODES) + len(_STAINS) + len(_NO_ANSWER) + len(labels))


def _read(slides: Sequence[SlideRecord]) -> list[SlideRecord]:
    return [one for one in slides if one.counts and one.answer != NO_RESULTS]


def _of_tiles(now: list[SlideRecord], before: list[SlideRecord], level: float) -> Iterator[DriftLine]:
    yield _means("novelty", "tiles", now, before, level, lambda one: one.novelty)
    for code in _CODES:
        name = code.value.replace("_", " ")
        yield _means(name, "tiles", now, before, level, partial(_share_of, code=code.value))


def _of_stains(now: list[SlideRecord], before: list[SlideRecord], level: float) -> Iterator[DriftLine]:
    for k, name in enumerate(_STAINS):
        yield _means(name, "density", now, before, level, partial(_strength, stain=k))


def _share_of(one: SlideRecord, code: str) -> float | None:
    return one.codes.get(code)


def _strength(one: SlideRecord, stain: int) -> float | None:
    return None if one.stains is None else one.stains[stain]


def _of_patients(
    now: list[SlideRecord], before: list[SlideRecord], labels: Sequence[str], level: float
) -> Iterator[DriftLine]:
    for answer in (*_NO_ANSWER, *labels):
        first, second = _answered(now, answer), _answered(before, answer)
        interval = difference_of_shares(first, second, level)
        yield _line(
            answer if answer not in labels else f"answer {answer}",
            "patients",
            _share(*first),
            _share(*second),
            interval,
        )


def _answered(slides: list[SlideRecord], answer: str) -> tuple[int, int]:
    return sum(one.answer == answer for one in slides), len(slides)


def _share(count: int, of: int) -> tuple[float | None, int]:
    return count / of if of else None, of


def _means(
    what: str,
    kind: Kind,
    now: list[SlideRecord],
    before: list[SlideRecord],
    level: float,
    value: Callable[[SlideRecord], float | None],
) -> DriftLine:
    first, second = ([one for one in map(value, side) if one is not None] for side in (now, before))
    interval = difference_of_means(first, second, level)
    return _line(what, kind, _mean(first), _mean(second), interval)


def _mean(values: list[float]) -> tuple[float | None, int]:
    return (sum(values) / len(values) if values else None), len(values)


def _line(
    what: str,
    kind: Kind,
    now: tuple[float | None, int],
    before: tuple[float | None, int],
    interval: Interval | None,
) -> DriftLine:
    judged = min(now[1], before[1]) >= FEWEST and interval is not None
    flagged = False
    if judged and interval is not None and now[0] is not None and before[0] is not None:
        least = PART * before[0] if kind == "density" else POINTS
        apart = interval.low > 0 or interval.high < 0
        flagged = apart and abs(now[0] - before[0]) >= least - 1e-12
    return DriftLine(
        what=what, kind=kind, before=before[0], before_of=before[1], now=now[0], now_of=now[1],
        interval=interval, judged=judged, flagged=flagged,
    )  # fmt: skip
