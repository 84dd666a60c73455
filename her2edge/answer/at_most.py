"""The largest share a label may have, as far as tiles read in random order tell."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.martingale import Bets, in_grains

LEVEL = 0.95
_PRECISION = 1e-4
_BLOCK = 4096


def at_most(total: int, hits: NDArray[np.bool_], votes: NDArray[np.bool_], level: float = LEVEL) -> float:
    """The share of the voting tissue, 0..1, that is above the true one in `level` of all readings.

    total: places of the grid. hits, votes: (n,) bool of the places read, in their order: the label has it, it
    votes. Bets that the share is below s, of the same kind as those that settle the answer; the largest s
    that no bet excludes, to 1/10,000, rounded up. Exact where every place was read; 1 where none votes.
    """
    counted = int(votes.sum())
    if counted == 0:
        return 1.0
    seen = float(hits.sum()) / counted
    if len(votes) == total:
        return seen
    needed = -math.log(1 - level)
    low, high = 0.0, 1.0
    while high - low > _PRECISION:  # the wealth never falls as s grows: every value does not
        share = (low + high) / 2
        low, high = (low, share) if _excluded(total, hits, votes, share, needed) else (share, high)
    return max(high, seen)


def _excluded(
    total: int, hits: NDArray[np.bool_], votes: NDArray[np.bool_], share: float, needed: float
) -> bool:
    """Whether a bet on a share below `share` gets rich: it cannot be that large."""
    values = np.where(votes, (1 + (share - hits) / max(share, 1 - share)) / 2, 0.5)
    values = in_grains(np.where(votes, values, 0.5))
    bets = Bets(total, 1)
    for start in range(0, len(values), _BLOCK):
        bets.read(values[start : start + _BLOCK, np.newaxis])
        if bets.peaks[0] >= needed:
            return True
    return False
