"""How sure the share of a label is: neighbouring tiles are alike, so that they count as fewer than they are.

The variance of a share over slides like this one is estimated from pairs of its tiles: what pairs up to a
reach have in common, corrected for the mean being the slide's own, as Newey & West 1987 (Econometrica 55,
703-708) do along a line. The interval is Jeffreys' for a share, Beta(s n + 1/2, (1 - s) n + 1/2), of the
number n of independent tiles with that variance (Brown, Cai & DasGupta 2001, Statistical Science 16,
101-133), made wider by Student's t, since few regions tell the variance. benchmarks/answer.py shows how often
it holds the true share; the limits below were chosen there, on other maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2edge.answer.beta import beta_quantile
from her2edge.answer.pairs import Pairs, pairs_by_distance
from her2edge.errors import OptionError

LEVEL = 0.95
FEWEST = 10.0  # effective tiles with the label, and without it, for an interval
DOUBT = 30.0  # this many of either count half: an estimate from few tiles is given where it is too large
_SEEN = 6.0  # regions that the tissue has room for, where tiles are alike no longer
_LEAST = 3.0  # beyond reaches of so few regions nothing is estimated
_ROOM, _RADIUS = 4.0, 12  # tissue has room for 4 regions of radius 12 tiles, or is too small to show any


@dataclass(frozen=True)
class Effective:
    """What n tiles of a slide are worth. tiles: independent ones, 0..n. regions: that this was seen in."""

    tiles: float
    regions: float


def effective_tiles(columns: ArrayLike, rows: ArrayLike, values: ArrayLike) -> tuple[Effective | None, ...]:
    """How many independent tiles n pooled tiles are worth, for the mean of each of k values.

    columns, rows: (n,) int, places in the tile grid, in any order and of any form: ragged, sparse. values:
    (k, n) class indicators, or any other numbers. None where the grid does not tell: two tiles of one place,
    values that are all the same, tissue that is too small, or too few regions beyond which tiles are alike
    no longer. Raises OptionError where shapes do not fit.

    With P(R) ordered pairs of tiles up to the distance R, n^2 / P(R) regions of that reach have room; S(R)
    being the sum of their products of values less the mean, S(R) / (n^2 - P(R)) is the variance of the mean
    if tiles further apart are not alike. The largest is taken, from the distance on where pairs are not.
    """
    across, down = (np.asarray(one, np.int64).ravel() for one in (columns, rows))
    table = np.atleast_2d(np.asarray(values, np.float64))
    if not (table.ndim == 2 and len(across) == len(down) == table.shape[1]):
        raise OptionError(
            f"found {len(across)} columns, {len(down)} rows and values of {table.shape}, expected (k, n) "
            "values of n columns and rows"
        )
    if len(across) < 2 or not distinct(across, down):
        return (None,) * len(table)
    centred = table - table.mean(axis=1, keepdims=True)
    pairs = pairs_by_distance(across, down, centred)
    near = math.ceil(_RADIUS / pairs.cell)
    if len(across) ** 2 < _ROOM * pairs.counts[: near + 1].sum():
        return (None,) * len(table)
    variances = np.mean(centred**2, axis=1)
    return tuple(
        _worth(pairs, products, float(variance), len(across))
        for products, variance in zip(pairs.products, variances, strict=True)
    )


def share_interval(
    share: float, effective: Effective | None, level: float = LEVEL
) -> tuple[float, float] | None:
    """(low, high) of a share, 0..1 each; None where fewer than 10 effective tiles have the label, or lack it.

    None too where effective tiles are not known. Raises OptionError for a share outside 0..1 or a level
    outside 0..1.
    """
    if not (0 <= share <= 1 and 0 < level < 1):
        raise OptionError(f"found share={share!r}, level={level!r}, expected both between 0 and 1")
    fewer = 0.0 if effective is None else min(share, 1 - share) * effective.tiles
    if effective is None or fewer < FEWEST:
        return None
    tail = (1 - level) / 2
    wider = NormalDist().inv_cdf(1 - tail) / _student(1 - tail, effective.regions - 1)
    n = effective.tiles * wider**2 * fewer / (fewer + DOUBT)
    a, b = share * n + 0.5, (1 - share) * n + 0.5
    return min(share, beta_quantile(tail, a, b)), max(share, beta_quantile(1 - tail, a, b))


def distinct(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
    """Whether no two tiles are of one place."""
    order = np.lexsort((columns, rows))
    return bool(np.all((np.diff(columns[order]) != 0) | (np.diff(rows[order]) != 0)))


def _worth(pairs: Pairs, products: NDArray[np.float64], variance: float, n: int) -> Effective | None:
    counts = np.cumsum(pairs.counts)
    reaches = int(np.searchsorted(counts, n**2 / _LEAST, side="right"))
    regions = n**2 / counts[:reaches]
    of_mean = np.cumsum(products)[:reaches] / (n**2 - counts[:reaches])
    here = pairs.counts[:reaches]
    alike = np.divide(products[:reaches], here, out=np.full(reaches, np.inf), where=here > 0)
    ends = np.flatnonzero(alike + of_mean <= 0)
    if variance <= 1e-18 or not len(ends) or regions[ends[0]] < _SEEN:
        return None
    largest = int(ends[0] + np.argmax(of_mean[ends[0] :]))
    v = float(of_mean[largest])
    tiles = min(float(n), (variance + v) / v) if v > 0 else float(n)
    return Effective(tiles, float(regions[largest]))


def _student(p: float, freedom: float) -> float:
    """The quantile of Student's t, p above 1/2: freedom / (freedom + t^2) is Beta(freedom / 2, 1/2)."""
    x = beta_quantile(2 * (1 - p), freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x)
