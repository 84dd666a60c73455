"""Shares of patients with the interval that holds for every share, and how two months differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from her2edge.answer.beta import beta_quantile
from her2edge.errors import OptionError

LEVEL = 0.95  # of the intervals of a kit
FEWEST_VALUES = 2  # of a mean, for an interval


class Interval(msgspec.Struct, frozen=True):
    """Two ends, low <= high."""

    low: float
    high: float


class Share(msgspec.Struct, frozen=True):
    """`count` of `of` patients. share: 0..1, None of none. interval: 95 %, exact (Clopper & Pearson)."""

    count: int
    of: int
    share: float | None
    interval: Interval | None

    @classmethod
    def count_of(cls, count: int, of: int) -> Share:
        return cls(count, of, count / of if of else None, exact_interval(count, of) if of else None)


def exact_interval(count: int, of: int, level: float = LEVEL) -> Interval:
    """The interval of a share that holds at least as often as it says, whatever the share.

    Clopper & Pearson 1934, Biometrika 26, 404-413, as quantiles of Beta distributions. Raises OptionError
    unless 0 <= count <= of and 1 <= of.
    """
    if not 0 <= count <= of or of < 1:
        raise OptionError(f"found {count} of {of}, expected a count of at least one, and no more than all")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else beta_quantile(tail, count, of - count + 1)
    high = 1.0 if count == of else beta_quantile(1 - tail, count + 1, of - count)
    return Interval(low, high)


def difference_of_shares(now: tuple[int, int], before: tuple[int, int], level: float) -> Interval | None:
    """The interval of share now - share before, each (count, of); None where one of them is of none.

    Newcombe 1998, Statistics in Medicine 17, 873-890, method 10: Wilson's intervals, put together.
    """
    if not now[1] or not before[1]:
        return None
    p, q = now[0] / now[1], before[0] / before[1]
    (low, high), (least, most) = _wilson(*now, level), _wilson(*before, level)
    bottom = p - q - math.hypot(p - low, most - q)
    return Interval(max(-1.0, bottom), min(1.0, p - q + math.hypot(high - p, q - least)))


def difference_of_means(now: Sequence[float], before: Sequence[float], level: float) -> Interval | None:
    """The interval of mean now - mean before, of independent values; None for fewer than two of either.

    Welch 1947, Biometrika 34, 28-35. Where no value differs from another the interval is a point.
    """
    if min(len(now), len(before)) < FEWEST_VALUES:
        return None
    first, second = np.asarray(now, np.float64), np.asarray(before, np.float64)
    a, b = float(first.var(ddof=1)) / len(first), float(second.var(ddof=1)) / len(second)
    middle = float(first.mean() - second.mean())
    if a + b <= 0:
        return Interval(middle, middle)
    freedom = (a + b) ** 2 / (a * a / (len(first) - 1) + b * b / (len(second) - 1))
    half = t_quantile(level, freedom) * math.sqrt(a + b)
    return Interval(middle - half, middle + half)


def t_quantile(level: float, freedom: float) -> float:
    """The t within whose -t..t a share `level`, 0..1, of Student's distribution lies; freedom: above 0.

    freedom / (freedom + t^2) is Beta(freedom / 2, 1 / 2).
    """
    x = beta_quantile(1 - level, freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x)


def _wilson(count: int, of: int, level: float) -> tuple[float, float]:
    """Wilson 1927, JASA 22, 209-212."""
    z = t_quantile(level, 1e7)  # of the normal distribution, within 1e-6
    p, zz = count / of, z * z
    middle = (p + zz / (2 * of)) / (1 + zz / of)
    half = z / (1 + zz / of) * math.sqrt(p * (1 - p) / of + zz / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)
