"""Noise fields and histogram specification: the brushes of the painter. Lengths are in pixels here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BINS = 2048


def noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Field:
    """(h, w) float32 smooth noise, about zero mean and unit variance, with features of `grain` pixels."""
    h, w = shape
    step = max(grain, 1.0)
    rows, columns = int(np.ceil(h / step)) + 2, int(np.ceil(w / step)) + 2
    small = rng.standard_normal((rows, columns), dtype=np.float32)
    if step == 1.0:
        return small[:h, :w].copy()
    small *= np.float32(1.35)  # interpolation takes variance away
    large = cv2.resize(small, (round(columns * step), round(rows * step)), interpolation=cv2.INTER_CUBIC)
    # A random origin, so that cells do not start at the same corner in each field.
    top, left = rng.integers(0, int(step) + 1, 2)
    return np.asarray(np.ascontiguousarray(large[top : top + h, left : left + w]), dtype=np.float32)


def fibres(rng: np.random.Generator, shape: tuple[int, int], angle: float, width: float) -> Field:
    """(h, w) float32 wavy fibres some `width` pixels wide along `angle` (radians), unit variance."""
    h, w = shape
    base = rng.standard_normal((256, 256), dtype=np.float32)
    step = 16
    y, x = np.mgrid[0 : h + step : step, 0 : w + step : step].astype(np.float32)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    across += 9 * width * noise(rng, (x.shape[0], x.shape[1]), 22 * width / step)
    grid = np.dstack([along / (14 * width), across / width]).astype(np.float32)
    size = (grid.shape[1] * step, grid.shape[0] * step)
    columns, rows = cv2.split(cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)[:h, :w])
    out = np.empty((h, w), np.float32)
    cv2.remap(base, columns, rows, cv2.INTER_LINEAR, out, cv2.BORDER_WRAP)
    out *= np.float32(1.5)
    return out


def match(raw: Field, mask: Mask, shares: NDArray[np.float64], values: NDArray[np.float64]) -> Field:
    """Bend `raw` monotonically until its values under `mask` have a given distribution.

    shares, values: the wanted quantile function, increasing, shares from 0 to 1. Returns (h, w) float32;
    outside the mask the same bending applies. This is what makes colour blind to the class: whatever the
    pattern, the histogram of concentrations is the slide's.
    """
    low, high = (float(v) for v in cv2.minMaxLoc(raw, mask.view(np.uint8))[:2])
    scale = (_BINS - 1) / max(high - low, 1e-6)
    bins = np.clip((raw - np.float32(low)) * np.float32(scale), 0, _BINS - 1).astype(np.uint16)
    # Every second pixel of every second row tells the distribution well enough, at a quarter of the time.
    counts = np.bincount(bins[::2, ::2][mask[::2, ::2]], minlength=_BINS).astype(np.float64)
    ranks = np.cumsum(counts) - counts / 2
    table = np.interp(ranks / max(counts.sum(), 1.0), shares, values).astype(np.float32)
    return np.asarray(np.take(table, bins), dtype=np.float32)
