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


def quality_figures(pixels: Pixels) -> dict[str, float | None]:
    """What `her2edge.quality` measures of a tile's pixels, but its stains: float arithmetic, no scratch."""
    rgb = pixels.astype(int)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    grey = (rgb @ np.array((9798, 19235, 3735)) + 16384) >> 15
    top, colour = rgb.max(axis=2), np.ptp(rgb, axis=2)
    every_second = np.arange(grey.size) % 256 % 2 == 0  # of each block of 256 pixels
    ink = {
        "pen_green": (green - red > 15) & (green >= blue - 10),
        "pen_blue": (blue - red > 60) & (green >= red - 10),
        "pen_black": (top < 85) & (colour < 30),
    }
    found: dict[str, float | None] = {
        name: float(mask.reshape(-1)[every_second].mean()) for name, mask in ink.items()
    }
    found["glass"] = float(((grey >= 235) & (colour <= 16)).mean())
    found["over_exposed"] = float(((grey < 215) & (red >= 254)).mean())
    found |= blur_ratios(grey)
    found["grid"] = float(np.sqrt(_steepness(grey[::2].T) * _steepness(grey)))
    return found


def blur_ratios(grey: NDArray[np.integer]) -> dict[str, float | None]:
    """Of optical density in tissue, the Laplacian's variance: at 1 and 1/2 over 1/4, at 1/4 over 1/8, at 1/8
    over the variance there."""
    rows = np.arange(grey.shape[0]) % 32
    quarter, eighth = _detail(_area(grey, 4), 64), _detail(_area(grey, 8), 64)
    inner = _area(grey, 8)[1:-1, 1:-1]
    contrast = float(_density(inner[inner < 215]).var()) if eighth else 0.0
    return {
        "blur_full": _detail(grey, 1, (rows >= 1) & (rows <= 14)) / quarter if quarter else None,
        "blur_half": _detail(_area(grey, 2), 1) / quarter if quarter else None,
        "blur_quarter": quarter / eighth if eighth else None,
        "blur_eighth": eighth / contrast if contrast else None,
    }


def _area(grey: NDArray[np.integer], by: int) -> NDArray[np.float64]:
    height, width = (side // by for side in grey.shape)
    whole = grey[: height * by, : width * by].reshape(height, by, width, by)
    return np.asarray(whole.mean(axis=(1, 3)))


def _density(grey: NDArray[Any]) -> NDArray[np.float64]:
    """In whole thousand-and-twenty-fourths."""
    return np.asarray(np.round(-1024 * np.log((grey.astype(float) + 1) / 256)), float)


def _detail(grey: NDArray[Any], enough: int, looked_at: NDArray[np.bool_] | None = None) -> float:
    if min(grey.shape) < 3:
        return 0.0
    density = _density(grey)
    inner = density[:-2, 1:-1] + density[2:, 1:-1] + density[1:-1, :-2] + density[1:-1, 2:]
    tissue = grey[1:-1, 1:-1] < 215
    if looked_at is not None:
        tissue &= looked_at[1:-1, None]
    values = (inner - 4 * density[1:-1, 1:-1])[tissue]
    return float(values.var()) if values.size >= enough else 0.0


def _steepness(grey: NDArray[np.integer]) -> float:
    """The largest of eight sums of steps from row to row, over the mean of the six in the middle."""
    steps = np.abs(np.diff(grey, axis=0)).sum(axis=1)
    sums = np.sort([steps[place::8].sum() for place in range(8)])
    return float(sums[7] / sums[1:7].mean()) if sums[1:7].sum() else 1.0
