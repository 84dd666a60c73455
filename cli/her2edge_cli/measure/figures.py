"""Percentiles of times and how far repeated measurements differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Times:
    """Milliseconds by nearest rank. spread: of the rounds' medians, (largest - smallest) / their median."""

    p50: float
    p90: float
    p99: float
    spread: float


@dataclass(frozen=True)
class Rate:
    """Tiles per second, the median of the rounds; spread: (largest - smallest) / median."""

    tiles_per_second: float
    spread: float


def times(rounds: Sequence[Sequence[float]]) -> Times:
    """Of milliseconds, round by round."""
    ordered = sorted(value for one in rounds for value in one)
    p50, p90, p99 = (round(ordered[math.ceil(share * len(ordered)) - 1], 4) for share in (0.5, 0.9, 0.99))
    return Times(p50, p90, p99, _spread([median(one) for one in rounds]))


def rate(rounds: Sequence[float]) -> Rate:
    """Of tiles per second, one number a round."""
    return Rate(round(median(rounds), 3), _spread(rounds))


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    return round((max(values) - min(values)) / middle, 4) if middle > 0 else 0.0
