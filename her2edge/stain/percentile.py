"""Percentiles as NumPy's default has them: linear between two order statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def interpolate(below: float, above: float, fraction: float) -> float:
    """Between two order statistics."""
    return below + (above - below) * fraction


def percentile_of_counts(values: NDArray[Any], counts: NDArray[np.int64], share: float) -> float:
    """The percentile of ascending values (n,) that occur `counts` (n,) times each; share is 0..1."""
    running = np.cumsum(counts)
    position = share * (running[-1] - 1)
    below = int(position)
    low, high = np.searchsorted(running, [below, min(below + 1, running[-1] - 1)], side="right")
    return interpolate(float(values[low]), float(values[high]), position - below)
