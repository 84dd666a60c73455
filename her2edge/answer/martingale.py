"""A bet against "the mean of this list is at most one half", read in random order, without replacement.

Whoever bets fairly seldom gets rich: if the mean is at most 1/2, the wealth K ever reaches 1 / error with a
probability of at most `error` (Ville's inequality), whatever the list. So where it does, the mean is above.
Source: Waudby-Smith & Ramdas 2020, Confidence sequences for sampling without replacement, NeurIPS 33
(arXiv 2006.04347). The list has `total` values x of 0..1. Before the i-th, m is what the mean of those
left may at most be, and K, the mean over the stakes c, is multiplied by 1 + c (x / m - 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STAKES: Floats = np.concatenate([np.geomspace(0.01, 0.5, 12), [0.65, 0.8, 0.95]])
_GRAIN = float(1 << 30)
EXACT = 1 << 22  # values of 0..1 whose sums are exact: float64 has 53 bits, half a difference of grains 31


def in_grains(values: NDArray[np.floating]) -> Floats:
    """The values to a multiple of 2^-30, as float64: sums of up to `EXACT` are exact, in any order."""
    return np.asarray(np.rint(np.asarray(values, np.float64) * _GRAIN) / _GRAIN)


def in_grain(value: float) -> float:
    """One value, as `in_grains`."""
    return round(value * _GRAIN) / _GRAIN


@dataclass(eq=False)
class Bets:
    """Bets on `count` lists of `total` values each, read side by side. What is kept of them is small.

    logs: (count, stakes) logarithm of the wealth by stake. sums: (count,) of the values read so far, exact.
    peaks: (count,) logarithm of the largest K so far. seen: values read of each list.
    """

    total: int
    count: int
    seen: int = 0
    logs: Floats = field(init=False)
    sums: Floats = field(init=False)
    peaks: Floats = field(init=False)
    _work: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.logs, self._work = (np.zeros((self.count, len(STAKES))) for _ in range(2))
        self.sums, self.peaks = np.zeros(self.count), np.zeros(self.count)

    def read(self, values: Floats) -> Floats:
        """Go on with (n, count) values of 0..1; returns (n, count): `peaks` after each."""
        n = len(values)
        if not n:
            return values
        before = self.sums + np.cumsum(values, axis=0) - values
        left = self.total - self.seen - np.arange(n)
        mean = (self.total / 2 - before) / left[:, np.newaxis]
        certain = (mean < 0) | ((mean == 0) & (values > 0))
        ratio = np.divide(values, mean, out=np.ones_like(values), where=mean > 0)
        steps = np.log1p(STAKES * (ratio[..., np.newaxis] - 1))
        steps[certain] = np.inf
        steps[0] += self.logs  # added up one by one: read in parts or at once, the same bits
        logs = np.cumsum(steps, axis=0)
        largest = logs.max(axis=-1)
        with np.errstate(invalid="ignore"):
            spread = np.exp(logs - largest[..., np.newaxis]).mean(axis=-1)
            wealth = np.where(np.isinf(largest), np.inf, largest + np.log(spread))
        peaks = np.maximum.accumulate(np.vstack([self.peaks, wealth]), axis=0)[1:]
        self.logs, self.peaks = logs[-1], peaks[-1]
        self.sums, self.seen = self.sums + values.sum(axis=0), self.seen + n
        return np.asarray(peaks)

    def read_one(self, values: Floats) -> None:
        """Go on with one value of each list, (count,) of 0..1: as `read`, in a tenth of the time."""
        mean = (self.total / 2 - self.sums) / (self.total - self.seen)
        late = 2 * self.seen >= self.total  # before, sums are below total / 2 and nothing is certain
        if late and (np.minimum.reduce(mean) <= 0 or np.maximum.reduce(self.peaks) == np.inf):
            self.read(values[np.newaxis])
            return
        work = np.multiply((values / mean - 1)[:, np.newaxis], STAKES, out=self._work)
        self.logs = self.logs + np.log1p(work, out=work)
        largest = np.maximum.reduce(self.logs, axis=1)  # .max goes through Python first
        np.exp(np.subtract(self.logs, largest[:, np.newaxis], out=work), out=work)
        wealth = largest + np.log(np.add.reduce(work, axis=1) / len(STAKES))
        self.peaks = np.maximum(self.peaks, wealth)
        self.sums, self.seen = self.sums + values, self.seen + 1
