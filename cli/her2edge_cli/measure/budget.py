"""How long a slide takes on this machine with this model: tiles are timed, the rest is multiplication.

No figure is stated for a machine that was not measured, nor energy where the kernel does not count it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from her2edge import Model, Options, TileClassifier
from her2edge.runtime import Host
from her2edge_cli.measure.energy import Meter
from her2edge_cli.measure.figures import Rate, rate
from her2edge_cli.measure.tiles import SYNTHETIC, Sample, sample_of
from her2edge_cli.measure.whole import classifier_of

SLIDE_TILES = 5000
TILES, ROUNDS = 24, 3
_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Maps:
    """Slides of 5,000 tissue tiles whose labels have these shares, per cent, and the tiles that settle them.

    tiles: median of 1,000 maps; p90: for nine in ten. Of `Settle()` with an error of 5 %, tiles that lie near
    each other being alike: docs/explanation/settle.md, made by `benchmarks/settle.py`.
    """

    shares: tuple[int, int, int]
    tiles: int
    p90: int


SETTLED = (
    Maps((90, 7, 3), 30, 30),
    Maps((60, 30, 10), 104, 194),
    Maps((50, 40, 10), 825, 1374),
    Maps((47, 43, 10), 2856, 3735),
)


@dataclass(frozen=True)
class Settling:
    """Minutes until such a slide is settled, median and for nine in ten."""

    maps: Maps
    minutes: float
    p90_minutes: float


@dataclass(frozen=True)
class SlideBudget:
    """Of one slide, as `doctor --slide-budget --json` prints it.

    plan: how the model runs here; tiles: what was timed, `timed` of them in each round. ms: a tissue tile,
    from its file to its result, others being prepared meanwhile; spread: of the rounds. minutes: of
    `slide_tiles` tissue tiles. watts: of all processor packages while tiles were read, whatever else ran;
    joules: a tile. None with the reason in `no_watts`.
    """

    plan: str
    tiles: str
    timed: int
    ms: float
    spread: float
    slide_tiles: int
    minutes: float
    settled: tuple[Settling, ...]
    watts: float | None
    joules: float | None
    no_watts: str | None


def slide_budget(
    model: Model, report: Callable[[str], None], *, tiles: int = TILES, rounds: int = ROUNDS
) -> SlideBudget:
    """Measure `rounds` rounds of `tiles` tiles after one to warm up, in about a minute on two cores.

    report: called with what begins. Raises what TileClassifier raises.
    """
    if Host().busy:
        _log.warning("other programs keep this machine busy: measure again when it is not")
    with sample_of(None, None, model, tiles) as sample:
        classifier = classifier_of(model, sample, Options())
        found = [_round(classifier, sample, number, rounds, report) for number in range(rounds + 1)][1:]
    speed = rate([one.tiles_per_second for one in found])
    joules = [one.joules for one in found if one.joules is not None]
    return budget_of(
        speed,
        plan=str(classifier.plan),
        timed=tiles,
        joules=median(joules) if joules else None,
        no_watts=None if joules else found[-1].no_joules,
    )


def budget_of(
    speed: Rate,
    *,
    plan: str,
    timed: int,
    joules: float | None,
    no_watts: str | None,
    settled: Sequence[Maps] = SETTLED,
) -> SlideBudget:
    """The arithmetic. speed: of tissue tiles; joules: a tile."""
    seconds = 1 / speed.tiles_per_second

    def minutes(tiles: int) -> float:
        return round(tiles * seconds / 60, 2)

    return SlideBudget(
        plan=plan,
        tiles=SYNTHETIC,
        timed=timed,
        ms=round(1e3 * seconds, 2),
        spread=speed.spread,
        slide_tiles=SLIDE_TILES,
        minutes=minutes(SLIDE_TILES),
        settled=tuple(Settling(one, minutes(one.tiles), minutes(one.p90)) for one in settled),
        watts=None if joules is None else round(joules / seconds, 1),
        joules=None if joules is None else round(joules, 3),
        no_watts=no_watts,
    )


@dataclass(frozen=True)
class _Round:
    tiles_per_second: float
    joules: float | None
    no_joules: str | None


def _round(
    classifier: TileClassifier, sample: Sample, number: int, rounds: int, report: Callable[[str], None]
) -> _Round:
    report("warm-up" if number == 0 else f"round {number} of {rounds}")
    meter, began = Meter(), time.perf_counter()
    count = sum(1 for _ in classifier.stream(sample.tiles()))
    seconds = time.perf_counter() - began
    joules = meter.joules()
    return _Round(count / seconds, None if joules is None else joules / count, meter.reason)
