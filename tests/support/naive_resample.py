"""The specification of her2edge.slide.resample: one output pixel at a time, float64, no tricks."""

from __future__ import annotations

import math

import numpy as np

from her2edge.tile import Pixels


def naive_area(src: Pixels, x0: float, y0: float, scale: float, height: int, width: int) -> Pixels:
    """Mean of `src` weighted by the area that each output pixel covers of each source pixel."""
    out = np.empty((height, width, 3), np.uint8)
    for i in range(height):
        rows = _cover(y0 + i * scale, y0 + (i + 1) * scale, src.shape[0])
        for j in range(width):
            columns = _cover(x0 + j * scale, x0 + (j + 1) * scale, src.shape[1])
            total = sum(a * b for a in rows.values() for b in columns.values())
            mean = sum(a * b * src[y, x].astype(float) for y, a in rows.items() for x, b in columns.items())
            out[i, j] = np.floor(mean / total + 0.5)
    return out


def naive_cubic(src: Pixels, x0: float, y0: float, scale: float, height: int, width: int) -> Pixels:
    """Keys' cubic convolution (a = -1/2) at the centre of each output pixel, border repeated."""
    out = np.empty((height, width, 3), np.uint8)
    for i in range(height):
        cy = y0 + (i + 0.5) * scale - 0.5
        for j in range(width):
            cx = x0 + (j + 0.5) * scale - 0.5
            value = np.zeros(3)
            for y in range(math.floor(cy) - 1, math.floor(cy) + 3):
                for x in range(math.floor(cx) - 1, math.floor(cx) + 3):
                    inside = src[min(max(y, 0), src.shape[0] - 1), min(max(x, 0), src.shape[1] - 1)]
                    value += _keys(cy - y) * _keys(cx - x) * inside
            out[i, j] = np.floor(np.clip(value, 0, 255) + 0.5)
    return out


def _cover(low: float, high: float, size: int) -> dict[int, float]:
    cover = {p: min(high, p + 1) - max(low, p) for p in range(math.floor(low), math.ceil(high))}
    inside = {p: share for p, share in cover.items() if 0 <= p < size}
    return inside or {min(max(math.floor(low), 0), size - 1): 1.0}


def _keys(distance: float) -> float:
    d = abs(distance)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0
