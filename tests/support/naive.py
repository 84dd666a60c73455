"""The NumPy twin of each kernel: its specification, written for the reader and not for speed."""

from __future__ import annotations

import numpy as np


def dark_mask(rgb, brightest):
    return (rgb.reshape(-1, 3) <= brightest).all(axis=1)


def bright_count(rgb, low, high):
    """Grey as OpenCV computes it, in low..high inclusive."""
    weighted = rgb.reshape(-1, 3).astype(int) @ (9798, 19235, 3735)
    grey = (weighted + 16384) >> 15
    return np.count_nonzero((grey >= low) & (grey <= high))


def colour_histogram(rgb):
    out = np.zeros((128, 128, 128), np.int64)
    np.add.at(out, tuple(rgb.reshape(-1, 3).T // 2), 1)
    return out


def optical_density(rgb, od):
    return od[rgb.reshape(-1, 3)].T


def tissue_moments(density, mask):
    tissue = density[:, mask == 1].astype(np.float64)
    products = tissue @ tissue.T
    return np.concatenate([tissue.sum(axis=1), products[np.triu_indices(3)]])


def tissue_turns(density, mask, plane):
    """A measure that grows with the angle of each pixel's OD in the plane, NaN off tissue."""
    x, y = plane.T @ density
    turn = np.copysign(1 - x / (np.abs(x) + np.abs(y)), y)
    return np.where(mask == 1, turn, np.nan)


def concentration(density, unmix):
    return unmix @ density


def keep_from(values, sign, limit):
    return (sign * values)[sign * values >= limit]


def restain(density, mix, white):
    """The light, before it is truncated to a grey value."""
    return np.minimum(white * np.exp(-(mix @ density)), 255.0).T


def symmetric_eigen(a):
    return np.linalg.eigh(a)


def principal_axes(values):
    return np.linalg.eigh(np.cov(values, rowvar=False))


def pack_stem(rgb, table, border):
    """A frame of 3 pixels, then 8 columns of 2 rows for every output of a 7x7 convolution of stride 2."""
    stored = np.stack([table[c][rgb[..., c]] for c in range(3)], axis=-1)
    framed = np.pad(stored, ((3, 3), (3, 3), (0, 0)), constant_values=border)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (2, 8), axis=(0, 1))[::2, ::2]
    return windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], 2, 24)
