"""How much fine detail a tile has beside coarse detail, by size and by direction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.scratch import scratch

DETAIL_PIXELS = 64  # of tissue at a quarter (at an eighth) of the size, below which that says nothing of blur
DIRECTIONS = 16  # of a half turn
DIRECTED_PIXELS = 2048  # of tissue at a quarter of the size, below which chance makes directions differ
_STRIP, _STRIPS = 10, 8  # at full and half size so many rows of so many strips are looked at
_UNIT = 1024  # of optical density, as whole numbers
_SHORT, _INT, _LONG = np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
_DOUBLE = np.dtype(np.float64)
Energies = NDArray[np.float64]


def _density(pixels: int) -> NDArray[np.int16]:
    """Optical density of each sum of grey over so many pixels, in units."""
    grey = np.arange(255 * pixels + 1) / pixels
    return np.round(-_UNIT * np.log((grey + 1) / 256)).astype(np.int16)


def _weights() -> Energies:
    """(DIRECTIONS, 6): what a second difference's energy in each direction takes of the six products.

    Along (c, s) it is c c xx + s s yy + 2 c s xy (Freeman and Adelson 1991, steerable filters); the sums have
    four times xy.
    """
    angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    a, b, c = np.cos(angles) ** 2, np.sin(angles) ** 2, np.cos(angles) * np.sin(angles) / 2
    return np.stack([a * a, b * b, c * c, 2 * a * b, 2 * a * c, 2 * b * c], axis=1)


_DENSITY = {pixels: _density(pixels) for pixels in (1, 4, 16, 64)}
_WEIGHTS = _weights()
# White noise of variance 1 at full size has these energies there, a quarter of them at half the size, and so
# on; in dd, the finest, 36.
_NOISE = (_WEIGHTS * (6, 6, 4, 4, 0, 0)).sum(axis=1) / 36


def blur_figures(grey: NDArray[np.uint8]) -> tuple[float | None, ...]:
    """blur_full, blur_half, blur_quarter, blur_eighth, blur_along of `Figures`, of (h, w) grey.

    Energy of detail at full and half size over that at 1/4, at 1/4 over 1/8, in the direction that has the
    least, for the stage moves in one; at 1/8 over the contrast; along over across, at half size.
    A ratio loses its bottom as blur grows. The next one, of coarser detail, takes over; the last has one
    that no blur takes away. Where there is too little tissue to tell directions apart, their mean counts.

    A sensor's noise comes after the blur and is white: its variance is taken from the finest detail, in which
    tissue has next to no part (Immerkaer 1996, doi 10.1006/cviu.1996.0060), and its share from every energy.
    """
    planes = _sizes(grey)
    sums = _sums(planes)
    full, half, quarter, eighth = energies = scratch("energies", (len(planes), DIRECTIONS), _DOUBLE)
    kernels.direction_energies(sums, _WEIGHTS, _NOISE, energies)
    at_quarter, at_eighth = (count >= DETAIL_PIXELS for count in sums[2:, 0].tolist())
    directed = bool(sums[2, 0] >= DIRECTED_PIXELS)
    if not directed:
        energies[:] = energies.mean(axis=1, keepdims=True)
    return (
        _least(full, quarter) if at_quarter else None,
        _least(half, quarter) if at_quarter else None,
        _least(quarter, eighth) if at_eighth else None,
        _over_contrast(sums[3], planes[3]) if at_eighth else None,
        _least(half, half, DIRECTIONS // 2) if directed else None,
    )


def _least(fine: Energies, coarse: Energies, turn: int = 0) -> float | None:
    ratio = kernels.least_ratio(fine, coarse, turn)
    return None if math.isnan(ratio) else ratio


def _over_contrast(sums: Energies, eighth: NDArray[np.integer]) -> float | None:
    """Variance of the Laplacian over that of optical density, in tissue at an eighth of the size."""
    count, x, y, _, xx, yy, _, xy, *_ = sums.tolist()
    laplacian = (xx + yy + 2 * xy) / count - ((x + y) / count) ** 2
    of = scratch("contrast", (3,), _LONG)
    kernels.contrast_sums(eighth, _DENSITY[64], kernels.TISSUE_GREY * 64, of)
    pixels, total, squares = of.tolist()
    contrast = squares / pixels - (total / pixels) ** 2
    return laplacian / contrast if contrast > 0 else None


def _sizes(grey: NDArray[np.uint8]) -> tuple[NDArray[np.integer], ...]:
    """The grey plane, and sums of it at half, at a quarter and at an eighth of the size."""
    height, width = grey.shape
    half = scratch("half", (height // 2, width // 2), _SHORT)
    quarter = scratch("quarter", (height // 4, width // 4), _SHORT)
    eighth = scratch("eighth", (height // 8, width // 8), _SHORT)
    for plane, halved in ((grey, half), (half, quarter), (quarter, eighth)):
        kernels.halve(plane, halved)
    return grey, half, quarter, eighth


def _sums(planes: tuple[NDArray[np.integer], ...]) -> Energies:
    """(4, 12) sums of `second_differences` over tissue at each size."""
    width = planes[0].shape[1]
    rows, parts = scratch("rows", (3, width), _SHORT), scratch("parts", (5, width), _INT)
    sums = scratch("sums", (len(planes), 12), _DOUBLE)
    for plane, pixels, out in zip(planes, _DENSITY, sums, strict=True):
        strip, period = _STRIP, len(plane) // _STRIPS
        if pixels > 4 or period <= strip:
            strip = period = max(1, len(plane))
        limit = kernels.TISSUE_GREY * pixels
        kernels.second_differences(plane, _DENSITY[pixels], limit, strip, period, rows, parts, out)
    return sums
