"""How sure the share of a label is: neighbouring tiles are alike, so that they count as fewer than they are.

Source of the interval: Jeffreys' for a share, Beta(s n + 1/2, (1 - s) n + 1/2), n being the effective number
of tiles (Brown, Cai & DasGupta 2001, Statistical Science 16, 101-133). benchmarks/answer.py shows how often
it holds the true share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2edge.answer.beta import beta_quantile
from her2edge.answer.pairs import pairs_by_distance
from her2edge.errors import OptionError

LEVEL = 0.95
FEWEST_TILES = 1000  # pooled tiles below which likeness across the slide is not seen: no interval
FEWEST = 30.0  # effective tiles below which there is no interval
DOUBTED = 100.0  # below which likeness is estimated too low, and half of them are counted
RARE = 20.0  # effective tiles with the label, or without: below, they lie in few clumps, a quarter is counted
_REACH = (24, 96, 384, 1024)


def effective_tiles(columns: ArrayLike, rows: ArrayLike, values: ArrayLike) -> float | None:
    """How many independent tiles n pooled tiles are worth, 0..n, for the mean of `values`.

    columns, rows: (n,) int, places in the tile grid, in any order and of any form: ragged, sparse. values:
    (n,) a class indicator, or any other number. None where the grid does not tell: two tiles of one place,
    fewer than two tiles, or values that are all the same.

    n / (1 + sum of rho(r) c(r)): rho(r) the autocorrelation of pairs whose distance rounds to r tiles, c(r)
    the ordered pairs at that distance over n, summed until the first rho(r) that is not above 0.
    """
    across, down = (np.asarray(one, np.int64).ravel() for one in (columns, rows))
    values = np.asarray(values, np.float64).ravel()
    if not len(across) == len(down) == len(values):
        raise OptionError(
            f"found {len(across)} columns, {len(down)} rows and {len(values)} values, expected as many"
        )
    if len(values) < 2 or not distinct(across, down):
        return None
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    if variance <= 1e-18:
        return None
    across, down = across - across.min(), down - down.min()
    widest = int(max(across.max(), down.max()) * 1.5) + 1
    return len(values) / (1 + _likeness(across, down, centred, variance, widest))


def share_interval(share: float, effective: float | None, level: float = LEVEL) -> tuple[float, float] | None:
    """(low, high) of a share, 0..1 each; None below 30 effective tiles, or where they are not known.

    Below 100 it is the interval of half as many: likeness is estimated too low on so few. Where the label, or
    all others, have fewer than 20 of them, of a quarter: they lie in few clumps. `FEWEST_TILES` is not asked.
    Raises OptionError for a share outside 0..1 or a level outside 0..1.
    """
    if not (0 <= share <= 1 and 0 < level < 1):
        raise OptionError(f"found share={share!r}, level={level!r}, expected both between 0 and 1")
    if effective is None or effective < FEWEST:
        return None
    n = effective if effective >= DOUBTED else effective / 2
    if min(share, 1 - share) * effective < RARE:
        n = effective / 4
    a, b = share * n + 0.5, (1 - share) * n + 0.5
    tail = (1 - level) / 2
    return min(share, beta_quantile(tail, a, b)), max(share, beta_quantile(1 - tail, a, b))


def distinct(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
    """Whether no two tiles are of one place."""
    order = np.lexsort((columns, rows))
    return bool(np.all((np.diff(columns[order]) != 0) | (np.diff(rows[order]) != 0)))


def _likeness(
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    centred: NDArray[np.float64],
    variance: float,
    widest: int,
) -> float:
    """The sum over distances, looking further only where tiles are still alike at the farthest."""
    total = 0.0
    for reach in _REACH:
        reach = min(reach, widest)
        pairs = pairs_by_distance(columns, rows, centred, reach)
        alike = pairs.products[1:]
        ends = np.flatnonzero((alike <= 1e-9 * variance) & (pairs.counts[1:] > 0))
        total = float(alike[: ends[0] if len(ends) else None].sum()) / (variance * len(centred))
        if len(ends) or reach == widest:
            break
    return total
