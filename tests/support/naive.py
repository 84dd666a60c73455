"""The NumPy twin of each kernel: its specification, written for the reader and not for speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.tile import Pixels

Real = NDArray[np.floating]


def dark_mask(rgb: Pixels, brightest: int) -> NDArray[np.bool_]:
    return np.asarray((rgb.reshape(-1, 3) <= brightest).all(axis=1))


def colour_histogram(rgb: Pixels) -> NDArray[np.int64]:
    out = np.zeros((128, 128, 128), np.int64)
    np.add.at(out, tuple(rgb.reshape(-1, 3).T // 2), 1)
    return out


def optical_density(rgb: Pixels, od: Real) -> Real:
    return od[rgb.reshape(-1, 3)].T


def tissue_moments(density: Real, mask: NDArray[np.integer]) -> NDArray[np.float64]:
    tissue = density[:, mask == 1].astype(np.float64)
    products = tissue @ tissue.T
    return np.concatenate([tissue.sum(axis=1), products[np.triu_indices(3)]])


def tissue_turns(density: Real, mask: NDArray[np.integer], plane: Real) -> Real:
    """A measure that grows with the angle of each pixel's OD in the plane, NaN off tissue."""
    x, y = plane.T @ density
    turn = np.copysign(1 - x / (np.abs(x) + np.abs(y)), y)
    return np.where(mask == 1, turn, np.nan)


def concentration(density: Real, unmix: Real) -> Real:
    return unmix @ density


def keep_from(values: Real, sign: float, limit: float) -> Real:
    return (sign * values)[sign * values >= limit]


def restain(density: Real, mix: Real, white: float) -> Real:
    """The light, before it is truncated to a grey value."""
    return np.minimum(white * np.exp(-(mix @ density)), 255.0).T


def symmetric_eigen(a: Real) -> tuple[Real, Real]:
    return np.linalg.eigh(a)


def principal_axes(values: Real) -> tuple[Real, Real]:
    return np.linalg.eigh(np.cov(values, rowvar=False))


def pack_stem(rgb: Pixels, table: NDArray[Any], border: NDArray[Any]) -> NDArray[Any]:
    """A frame of 3 pixels, then 8 columns of 2 rows for every output of a 7x7 convolution of stride 2."""
    stored = np.stack([table[c][rgb[..., c]] for c in range(3)], axis=-1)
    framed = np.pad(stored, ((3, 3), (3, 3), (0, 0)), constant_values=border)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (2, 8), axis=(0, 1))[::2, ::2]
    return windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], 2, 24)
