"""Maps of classes of given shares over a tile grid, neighbours alike: what settling an answer is tried on.

z = sqrt(1 - noise) g + sqrt(noise) e: g a Gaussian field that wraps around, smoothed by a Gaussian of sigma
`length` tiles and scaled to standard deviation 1; e white noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def field(rng: np.random.Generator, rows: int, columns: int, length: float, noise: float) -> Floats:
    """(rows, columns) normal values of variance 1."""
    white = rng.standard_normal((rows, columns))
    if length == 0:
        return white
    down, across = np.fft.fftfreq(rows)[:, np.newaxis], np.fft.rfftfreq(columns)[np.newaxis]
    smoothing = np.exp(-2 * (np.pi * length) ** 2 * (down**2 + across**2))
    smooth = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((rows, columns))) * smoothing, (rows, columns))
    smooth /= smooth.std()
    return np.sqrt(1 - noise) * smooth + np.sqrt(noise) * white


def by_rank(z: Floats, shares: Sequence[float]) -> NDArray[np.int64]:
    """Classes with exactly these shares (to a tile): the smallest z are class 0. Flat, row by row."""
    flat = z.ravel()
    classes = np.empty(flat.size, np.int64)
    ends = np.rint(np.cumsum(shares) / np.sum(shares) * flat.size).astype(int)
    classes[np.argsort(flat, kind="stable")] = np.searchsorted(ends, np.arange(flat.size), side="right")
    return classes
