"""95 % intervals of shares of tiles, where tiles of one patient are not independent.

A bootstrap of patients cannot bound what it has not seen: without a flip every resample is without one.
These intervals can. They take the tiles for as many as they are worth: n tiles over the design effect (how
much more a share varies from patient to patient than independent tiles would make it), times (t(n - 1) /
t(patients - 1))^2 for the few patients it rests on (Korn & Graubard 1998, Survey Methodology 24, 193-201).
With no flip or one the design effect is 1: their dependence cannot be seen, only the number of patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2


def effective_tiles(values: NDArray[Any], groups: NDArray[np.str_]) -> float:
    """How many independent tiles n values (n,) are worth, 0..n; 0 for one group, which shows nothing."""
    from scipy.stats import t

    n, (names, group) = len(values), np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return 0.0
    deviation = np.bincount(group, values - values.mean())
    clustered = len(names) / (len(names) - 1) * float(np.sum(deviation**2)) / n**2
    independent = float(values.var()) / n
    effect = max(1.0, clustered / independent) if independent > 0 else 1.0
    few = (t.ppf(1 - TAIL, n - 1) / t.ppf(1 - TAIL, len(names) - 1)) ** 2
    return float(n / effect * few)


def share_interval(hits: NDArray[np.bool_], groups: NDArray[np.str_]) -> tuple[float, float]:
    """Of the share of hits (n,): Clopper & Pearson 1934 (Biometrika 26, 404-413) on the effective tiles."""
    from scipy.stats import beta

    n = effective_tiles(hits.astype(float), groups)
    if n == 0:
        return 0.0, 1.0
    k = float(hits.mean()) * n
    low = float(beta.ppf(TAIL, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(1 - TAIL, k + 1, n - k)) if k < n else 1.0
    return low, high


def drop_interval(
    before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[np.str_]
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
        q = (np.sqrt(b * b + 8 * n * won * d * (1 - d)) - b) / (4 * n)
        return float(lost - won - n * d + z * np.sqrt(max(0.0, n * (2 * q + d * (1 - d)))))

    share = (lost - won) / n
    if share >= 1:
        return 1.0
    start = share + 1e-12  # where nothing differs, `share` itself is a root: the other one is asked for
    root: Any = brentq(excess, start, 1.0) if excess(start) > 0 else share
    return float(root)
