"""95 % intervals of shares of tiles, where tiles of one patient are not independent.

A bootstrap of patients cannot bound what it has not seen: without a miss every resample is without one.
These intervals can. They take n tiles for n over the design effect, which is how much more a share varies
from patient to patient than independent tiles would make it (Kish 1965, Survey Sampling). What it has above 1
is estimated from few patients, and enlarged by (t(df) / t(n - 1))^2, as Korn & Graubard 1998 (Survey
Methodology 24, 193-201) enlarge all of it. df: MORE_DF and the number of patients that carry the estimate,
(sum of squares)^2 / (sum of fourth powers) of their deviations; at most the patients less one. The effect is
never below 1 + FLOOR (m - 1), m being the tiles of a tile's patient on average: few misses cannot show how
alike a patient's tiles are. `benchmarks/clustered.py` says how often these intervals hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
FLOOR = 0.1  # the least intra-class correlation of a patient's tiles that is reckoned with
MORE_DF = 2.0  # found by simulation, benchmarks/clustered.py


def effective_tiles(values: NDArray[Any], groups: NDArray[Any]) -> float:
    """How many independent tiles n values (n,) are worth, 0..n; 0 for one group, which shows nothing."""
    from scipy.stats import t

    n, (names, group) = len(values), np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return 0.0
    squares = np.bincount(group, values - values.mean()) ** 2
    clustered = len(names) / (len(names) - 1) * float(squares.sum()) / n**2
    independent = float(values.var()) / n
    effect = least_effect(np.bincount(group))
    if clustered > independent:
        df = min(len(names) - 1, MORE_DF + float(squares.sum() ** 2 / np.sum(squares**2)))
        few = (t.ppf(1 - TAIL, df) / t.ppf(1 - TAIL, n - 1)) ** 2
        effect = max(effect, 1 + few * (clustered / independent - 1))
    return float(n / effect)


def least_effect(tiles: NDArray[np.int64]) -> float:
    """The design effect that is reckoned with at least. tiles: (groups,) number of each group's."""
    return 1 + FLOOR * (float(np.sum(tiles**2)) / float(tiles.sum()) - 1)


def likeness(values: NDArray[Any], groups: NDArray[Any]) -> float | None:
    """Intra-class correlation of values (n,) within groups, by analysis of variance, -1..1.

    Donner 1986, International Statistical Review 54, 67-82. None where nothing varies, or no group has two.
    """
    group = np.unique(groups, return_inverse=True)[1]
    tiles = np.bincount(group)
    n, count = len(values), len(tiles)
    if count < 2 or count == n or np.ptp(values) == 0:
        return None
    means = np.bincount(group, values) / tiles
    between = float(np.sum(tiles * (means - values.mean()) ** 2)) / (count - 1)
    within = float(np.sum((values - means[group]) ** 2)) / (n - count)
    size = (n - float(np.sum(tiles**2)) / n) / (count - 1)
    return (between - within) / (between + (size - 1) * within)


def share_interval(hits: NDArray[np.bool_], groups: NDArray[Any]) -> tuple[float, float]:
    """Of the share of hits (n,): Clopper & Pearson 1934 (Biometrika 26, 404-413) on the effective tiles."""
    n = effective_tiles(hits.astype(float), groups)
    if n == 0:
        return 0.0, 1.0
    share = float(hits.mean())
    return 1 - upper_end(1 - share, n), upper_end(share, n)


def upper_end(share: float, n: float) -> float:
    """The upper end of the interval of a share, 0..1, of n > 0 independent tiles."""
    from scipy.stats import beta

    k = share * n
    return float(beta.ppf(1 - TAIL, k + 1, n - k)) if k < n else 1.0


def drop_interval(
    before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[Any]
) -> tuple[float, float]:
    """Of mean(before) - mean(after) of the same tiles (n,): Tango's score interval on the effective tiles.

    Tango 1998, Statistics in Medicine 17, 891-908: unlike Wald's it has a width where nothing differs.
    """
    n = effective_tiles(before.astype(float) - after, groups)
    if n == 0:
        return -1.0, 1.0
    lost, won = float(np.mean(before & ~after)) * n, float(np.mean(~before & after)) * n
    return -_upper(won, lost, n), _upper(lost, won, n)


def _upper(lost: float, won: float, n: float) -> float:
    """The largest difference d of which (lost - won) / n is not significantly too small."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf(1 - TAIL))

    def excess(d: float) -> float:
        b = -lost - won + (2 * n - lost + won) * d
        q = (math.sqrt(b * b + 8 * n * won * d * (1 - d)) - b) / (4 * n)
        return float(lost - won - n * d + z * math.sqrt(max(0.0, n * (2 * q + d * (1 - d)))))

    share = (lost - won) / n
    if share >= 1:
        return 1.0
    start = share + 1e-12  # where nothing differs, `share` itself is a root: the other one is asked for
    root: Any = brentq(excess, start, 1.0) if excess(start) > 0 else share
    return float(root)
