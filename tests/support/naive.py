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


def keep_from(values: Real, limit: float) -> Real:
    return values[values >= limit]


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
    ink = {
        "pen_green": (green - red > 15) & (green >= blue - 10),
        "pen_blue": (blue - red > 60) & (green >= red - 10),
        "pen_black": (top < 85) & (colour < 30),
    }
    ink["over_exposed"] = (grey < 215) & (red >= 254)
    found: dict[str, float | None] = {name: float(mask[::8].mean()) for name, mask in ink.items()}
    found["pen_clear"] = _clear_ink(red, blue)
    found["glass"] = float(((grey >= 235) & (colour <= 16)).mean())
    found |= blur_ratios(grey)
    found["grid"] = float(np.sqrt(_steepness(grey[::2].T) * _steepness(grey)))
    return found


def _clear_ink(red: NDArray[np.integer], blue: NDArray[np.integer]) -> float:
    """Share of cells of 16 x 16 pixels, every eighth row of them, dark in red and bluer than the rest."""
    height, width = (side // 16 for side in red.shape)
    if height * width < 64:
        return 0.0
    reds, blues = (
        plane[: height * 16 : 8, : width * 16].reshape(height, 2, width, 16).sum(axis=(1, 3)) + 1.0
        for plane in (red, blue)
    )
    ratio = blues / reds
    usual = np.quantile(ratio, 0.25, method="lower")
    return float(((reds < 140 * 32) & (ratio > 1.35) & (ratio > 1.82 * usual)).mean())


def blur_ratios(grey: NDArray[np.integer]) -> dict[str, float | None]:
    """Of optical density in tissue, energies of second differences less those of noise, see `Figures`."""
    rows = np.arange(grey.shape[0])
    planes = [_density(_area(grey, by)) for by in (1, 2, 4, 8)]
    masks = [_area(grey, by)[1:-1, 1:-1] < 215 for by in (1, 2, 4, 8)]
    for mask, by in ((masks[0], 1), (masks[1], 2)):
        height = grey.shape[0] // by
        if height // 8 > 10:
            place = rows[:height][1:-1] % (height // 8)
            mask &= ((place >= 1) & (place <= 8))[:, None]
    noise = _variance(_fine(planes[0]), masks[0]) / 36
    energies = [
        np.array([_along(plane, mask, k * np.pi / 16, noise / 4**i) for k in range(16)])
        for i, (plane, mask) in enumerate(zip(planes, masks, strict=True))
    ]
    quarter, eighth = (mask.sum() >= 64 for mask in masks[2:])
    directed = masks[2].sum() >= 2048
    if not directed:
        energies = [np.full(16, of.mean()) for of in energies]
    contrast = _variance(planes[3][1:-1, 1:-1], masks[3])
    x, y, _ = _seconds(planes[3])
    return {
        "blur_full": _least(energies[0], energies[2]) if quarter else None,
        "blur_half": _least(energies[1], energies[2]) if quarter else None,
        "blur_quarter": _least(energies[2], energies[3]) if eighth else None,
        "blur_eighth": _variance(x + y, masks[3]) / contrast if eighth and contrast else None,
        "blur_along": _least(energies[1], np.roll(energies[1], 8)) if directed else None,
    }


def _along(plane: NDArray[np.float64], mask: NDArray[np.bool_], angle: float, noise: float) -> float:
    """Variance of the second difference in a direction, less that of white noise of this variance."""
    x, y, xy = _seconds(plane)
    c, s = np.cos(angle), np.sin(angle)
    kernel = c**4 * 6 + s**4 * 6 + 2 * c * c * s * s * 4 + 4 * c * c * s * s / 4
    return float(max(0.0, _variance(c * c * x + s * s * y + 2 * c * s * xy, mask) - noise * kernel))


def _seconds(d: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Second differences of inner pixels along x, along y, and mixed."""
    middle = d[1:-1, 1:-1]
    mixed = (d[:-2, :-2] + d[2:, 2:] - d[:-2, 2:] - d[2:, :-2]) / 4
    return d[1:-1, :-2] + d[1:-1, 2:] - 2 * middle, d[:-2, 1:-1] + d[2:, 1:-1] - 2 * middle, mixed


def _fine(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second difference along y of that along x."""
    along = d[:, :-2] + d[:, 2:] - 2 * d[:, 1:-1]
    return np.asarray(along[:-2] + along[2:] - 2 * along[1:-1])


def _variance(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    return float(values[mask].var()) if mask.any() else 0.0


def _least(fine: NDArray[np.float64], coarse: NDArray[np.float64]) -> float | None:
    some = coarse > 0
    return float((fine[some] / coarse[some]).min()) if some.any() else None


def _area(grey: NDArray[np.integer], by: int) -> NDArray[np.float64]:
    height, width = (side // by for side in grey.shape)
    whole = grey[: height * by, : width * by].reshape(height, by, width, by)
    return np.asarray(whole.mean(axis=(1, 3)))


def _density(grey: NDArray[Any]) -> NDArray[np.float64]:
    """In whole thousand-and-twenty-fourths."""
    return np.asarray(np.round(-1024 * np.log((grey.astype(float) + 1) / 256)), float)


def _steepness(grey: NDArray[np.integer]) -> float:
    """The largest of eight sums of steps from row to row, over the mean of the six in the middle."""
    steps = np.abs(np.diff(grey, axis=0)).sum(axis=1)
    sums = np.sort([steps[place::8].sum() for place in range(8)])
    return float(sums[7] / sums[1:7].mean()) if sums[1:7].sum() else 1.0
