"""Which tiles a page shows: the surest for the heaviest label, the most doubtful, one of each left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2edge.answer.votes import kept_out
from her2edge.results.marks import EVERY_REASON
from her2edge.tile import Outcome, TileResult

SHOWN = 6  # of each kind


@dataclass(frozen=True)
class Choice:
    """Numbers of tiles, as in tiles.csv from 0. most: highest probability of the label; doubtful: smallest
    distance of the two highest probabilities; no tile is in both, and all of them vote. left_out: by reason,
    (the first tile, how many there are)."""

    most: tuple[int, ...]
    doubtful: tuple[int, ...]
    left_out: dict[str, tuple[int, int]]


def choose(tiles: Sequence[TileResult], labels: Sequence[str], shown: int = SHOWN) -> Choice:
    """labels: in the order of severity, the heaviest last. Of equal tiles the first comes first."""
    chances = {
        number: one.probabilities
        for number, one in enumerate(tiles)
        if one.pooled and one.probabilities is not None
    }
    heaviest = len(labels) - 1
    most = sorted(chances, key=lambda number: (-float(chances[number][heaviest]), number))
    # at most half of few tiles, so that the doubtful ones are not used up
    most = most[: min(shown, -(-len(most) // 2))]
    rest = chances.keys() - set(most)
    doubtful = sorted(rest, key=lambda number: (_margin(chances[number]), number))[:shown]
    return Choice(tuple(most), tuple(doubtful), _left_out(tiles))


def _margin(chances: np.ndarray) -> float:
    first, second = np.sort(chances)[:-3:-1]
    return float(first - second)


def why_left_out(one: TileResult) -> str | None:
    """The reason: a code, "novel" or "unfitted", a kind of background, or the outcome; None: it votes."""
    if one.outcome is Outcome.CLASSIFIED:
        return kept_out(one)
    if one.outcome is Outcome.BACKGROUND:
        return "background" if one.background is None else one.background.value
    return one.outcome.value


def _left_out(tiles: Sequence[TileResult]) -> dict[str, tuple[int, int]]:
    first: dict[str, int] = {}
    counts: dict[str, int] = {}
    for number, one in enumerate(tiles):
        why = why_left_out(one)
        if why is not None:
            first.setdefault(why, number)
            counts[why] = counts.get(why, 0) + 1
    order = sorted(
        counts, key=lambda why: EVERY_REASON.index(why) if why in EVERY_REASON else len(EVERY_REASON)
    )
    return {why: (first[why], counts[why]) for why in order}
