"""The quality of a tile, measured of its own pixels: no other tile, no stain mode, no fit has a say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.quality.codes import Figures, Quality, judge_quality
from her2edge.quality.limits import QualityLimits
from her2edge.quality.stains import has_stains
from her2edge.stain.scratch import scratch
from her2edge.tile import Pixels

DETAIL_PIXELS = 64  # of tissue at a quarter (at an eighth) of the size, below which that says nothing of blur
_STRIP = 16, 32  # at full size the first rows of so many: it is the dear one
_UNIT = 1024  # of optical density, as whole numbers
_BYTE, _SHORT, _INT, _LONG = (np.dtype(kind) for kind in (np.uint8, np.int16, np.int32, np.int64))


def _density(pixels: int) -> NDArray[np.int16]:
    """Optical density of each sum of grey over so many pixels, in units."""
    grey = np.arange(255 * pixels + 1) / pixels
    return np.round(-_UNIT * np.log((grey + 1) / 256)).astype(np.int16)


_DENSITY = {pixels: _density(pixels) for pixels in (1, 4, 16, 64)}


def measure_quality(pixels: Pixels, valid: tuple[int, int], limits: QualityLimits) -> Quality:
    """Codes and figures of a tissue tile by the limits of a model.

    pixels: (h, w, 3) uint8 RGB, C-order, as the slide has them; valid: (rows, columns) in 1..h, 1..w. The
    caller has checked both. Whatever the pixels, there are codes and no exception.
    """
    figures = measure_figures(pixels, valid)
    return Quality(judge_quality(figures, limits), figures)


def measure_figures(pixels: Pixels, valid: tuple[int, int]) -> Figures:
    """`measure_quality` without limits."""
    rows, columns = valid
    inside = np.ascontiguousarray(pixels[:rows, :columns])
    count = rows * columns
    grey, counts = scratch("grey", (count,), _BYTE), scratch("counts", (5,), _LONG)
    channels = scratch("channels", (8, kernels.BLOCK), _SHORT)
    kernels.look(inside.reshape(-1), channels, scratch("seen", (5, kernels.BLOCK), _INT), grey, counts)
    glass, over, green, blue, black = counts.tolist()
    looked_at = _every_second(count)
    blur = _blur(grey.reshape(rows, columns))
    return Figures(
        inside=count / (pixels.shape[0] * pixels.shape[1]),
        glass=glass / count,
        over_exposed=over / count,
        pen_green=green / looked_at,
        pen_blue=blue / looked_at,
        pen_black=black / looked_at,
        blur_full=blur[0],
        blur_half=blur[1],
        blur_quarter=blur[2],
        blur_eighth=blur[3],
        grid=_grid(grey.reshape(rows, columns)),
        stains=has_stains(inside),
    )


def _every_second(count: int) -> int:
    """How many pixels ink is looked for on: every second of each block."""
    whole, rest = divmod(count, kernels.BLOCK)
    return whole * (kernels.BLOCK // 2) + (rest + 1) // 2


def _blur(grey: NDArray[np.uint8]) -> tuple[float | None, ...]:
    """Energy of detail: at full and half size over that at 1/4, at 1/4 over 1/8, at 1/8 over the contrast.

    A ratio loses its bottom as blur grows: what is left there is rounding, noise or the blocks of JPEG. The
    next one, of coarser detail, takes over; the last has a bottom that no blur takes away.
    """
    height, width = grey.shape
    half = scratch("half", (height // 2, width // 2), _SHORT)
    quarter = scratch("quarter", (height // 4, width // 4), _SHORT)
    eighth = scratch("eighth", (height // 8, width // 8), _SHORT)
    for plane, halved in ((grey, half), (half, quarter), (quarter, eighth)):
        kernels.halve(plane, halved)
    at_quarter, at_eighth = _detail(quarter, 16, DETAIL_PIXELS), _detail(eighth, 64, DETAIL_PIXELS)
    contrast = _contrast(eighth) if at_eighth else 0.0
    return (
        _detail(grey, 1, 1) / at_quarter if at_quarter else None,
        _detail(half, 4, 1) / at_quarter if at_quarter else None,
        at_quarter / at_eighth if at_eighth else None,
        at_eighth / contrast if contrast else None,
    )


def _contrast(eighth: NDArray[np.int16]) -> float:
    """Variance of optical density in tissue, of the pixels that `_detail` looks at: sums of whole numbers."""
    inner = eighth[1:-1, 1:-1]
    density = _DENSITY[64][inner[inner < kernels.TISSUE_GREY * 64]].astype(np.int64)
    mean = int(density.sum()) / density.size
    return int((density * density).sum()) / density.size - mean**2


def _detail(plane: NDArray[np.integer], pixels: int, enough: int) -> float:
    """Variance of the Laplacian of optical density in tissue; 0 where fewer pixels than enough are tissue."""
    if not plane.size:
        return 0.0
    strip, period = _STRIP if pixels == 1 else (len(plane), len(plane))
    sums, rows = scratch("sums", (3,), _LONG), scratch("rows", (3, plane.shape[1]), _SHORT)
    kernels.laplacian_sums(plane, _DENSITY[pixels], kernels.TISSUE_GREY * pixels, strip, period, rows, sums)
    count, total, squares = sums.tolist()
    return squares / count - (total / count) ** 2 if count >= enough else 0.0


def _grid(grey: NDArray[np.uint8]) -> float:
    """How much larger steps are across one in eight columns, and rows, than across the others; 1: not."""
    across, down = scratch("across", (8,), _LONG), scratch("down", (8,), _LONG)
    kernels.grid_steps(grey, scratch("column", (grey.shape[1],), _INT), across, down)
    return math.sqrt(_steepness(across.tolist()) * _steepness(down.tolist()))


def _steepness(steps: list[int]) -> float:
    ordered = sorted(steps)
    usual = sum(ordered[1:7])
    return 6 * ordered[7] / usual if usual else 1.0
