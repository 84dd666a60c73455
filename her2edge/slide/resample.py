"""Resampling with a sub-pixel origin: two sets of weights, one separable loop.

cv2.resize has no sub-pixel origin and cv2.warpAffine rounds it to 1/32 pixel; a grid whose step is not
whole needs the exact one. Coordinates: pixel i of `src` covers [i, i + 1); output pixel i covers
[x0 + i * scale, x0 + (i + 1) * scale), `scale` in source pixels per output pixel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge._jit import kernel
from her2edge.tile import Pixels

Weights = tuple[
    NDArray[np.int64], NDArray[np.float32]
]  # first source index (n,), weights from there (n, taps)


def resample_area(
    src: Pixels, x0: float, y0: float, scale: float, out: Pixels, down: float | None = None
) -> None:
    """Fill `out` (h, w, 3) with the mean of what each output pixel covers of `src`; for scale >= 1.

    down: the scale of rows where it is another one; so below."""
    rows = area_weights(src.shape[0], y0, down or scale, out.shape[0])
    columns = area_weights(src.shape[1], x0, scale, out.shape[1])
    _weighted_sums(src.reshape(src.shape[0], -1), *rows, *columns, out)


def resample_cubic(
    src: Pixels, x0: float, y0: float, scale: float, out: Pixels, down: float | None = None
) -> None:
    """Fill `out` (h, w, 3) by cubic interpolation at the output pixels' centres; for scale <= 1."""
    rows = cubic_weights(src.shape[0], y0, down or scale, out.shape[0])
    columns = cubic_weights(src.shape[1], x0, scale, out.shape[1])
    _weighted_sums(src.reshape(src.shape[0], -1), *rows, *columns, out)


def area_weights(size: int, start: float, scale: float, count: int) -> Weights:
    """Share of each source pixel in `count` output pixels; what lies outside 0..size does not count."""
    low = start + scale * np.arange(count)[:, None]
    index = np.floor(low).astype(np.int64) + np.arange(math.ceil(scale) + 1)
    cover = np.minimum(low + scale, index + 1) - np.maximum(low, index)
    cover = np.where((index >= 0) & (index < size), np.maximum(cover, 0), 0)
    outside = cover.sum(axis=1) < 1e-6
    cover[outside, 0] = 1  # wholly outside: _banded() moves it to the nearest pixel
    return _banded(index, cover, size)


def cubic_weights(size: int, start: float, scale: float, count: int) -> Weights:
    """Cubic convolution, a = -1/2 (Keys 1981, doi:10.1109/TASSP.1981.1163711): third order, so that a ramp
    stays a ramp, which OpenCV's a = -3/4 does not give. Beyond the border the last pixel is repeated."""
    centre = start + scale * (np.arange(count) + 0.5) - 0.5
    before = np.floor(centre)
    t = (centre - before)[:, None]
    index = before.astype(np.int64)[:, None] + np.arange(-1, 3)
    near = np.abs(t - np.arange(-1, 3))
    inner = (1.5 * near - 2.5) * near**2 + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    return _banded(index, np.where(near <= 1, inner, outer), size)


def _banded(index: NDArray[np.int64], weights: NDArray[np.float64], size: int) -> Weights:
    """Move indices outside 0..size-1 to the border, adding up weights; scale each row to a sum of 1."""
    taps = min(index.shape[1], size)
    first = np.clip(index[:, 0], 0, size - taps)
    place = np.clip(np.clip(index, 0, size - 1) - first[:, None], 0, taps - 1)
    band = np.zeros((len(index), taps))
    np.add.at(band, (np.arange(len(index))[:, None], place), weights)
    return first, (band / band.sum(axis=1, keepdims=True)).astype(np.float32)


@kernel
def _weighted_sums(
    src: Pixels,
    first_row: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    first_column: NDArray[np.int64],
    column_weights: NDArray[np.float32],
    out: Pixels,
) -> None:
    """src (h, 3 w) uint8. Rows first: that loop runs over contiguous bytes and is vectorised."""
    line = np.empty(src.shape[1], np.float32)
    for i in range(out.shape[0]):
        line[:] = 0
        for a in range(row_weights.shape[1]):
            weight = row_weights[i, a]
            if weight != 0:
                row = src[first_row[i] + a]
                for q in range(line.size):
                    line[q] += weight * np.float32(row[q])
        for j in range(out.shape[1]):
            red = green = blue = np.float32(0.5)
            q = 3 * first_column[j]
            for b in range(column_weights.shape[1]):
                weight = column_weights[j, b]
                red += weight * line[q]
                green += weight * line[q + 1]
                blue += weight * line[q + 2]
                q += 3
            out[i, j, 0] = np.uint8(min(max(red, np.float32(0)), np.float32(255)))
            out[i, j, 1] = np.uint8(min(max(green, np.float32(0)), np.float32(255)))
            out[i, j, 2] = np.uint8(min(max(blue, np.float32(0)), np.float32(255)))
