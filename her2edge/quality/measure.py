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

DETAIL_PIXELS = 64  # of tissue at a quarter of the size, below which nothing is said of blur
_STRIP = 16, 32  # at full size the first rows of so many: it is the dear one
_UNIT = 1024  # of optical density, as whole numbers
_BYTE, _SHORT, _INT, _LONG = (np.dtype(kind) for kind in (np.uint8, np.int16, np.int32, np.int64))


def _density(pixels: int) -> NDArray[np.int16]:
    """Optical density of each sum of grey over so many pixels, in units."""
    grey = np.arange(255 * pixels + 1) / pixels
    return np.round(-_UNIT * np.log((grey + 1) / 256)).astype(np.int16)


_DENSITY = {pixels: _density(pixels) for pixels in (1, 4, 16)}


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
    fine, coarse = _blur(grey.reshape(rows, columns))
    return Figures(
        inside=count / (pixels.shape[0] * pixels.shape[1]),
        glass=glass / count,
        over_exposed=over / count,
        pen_green=green / looked_at,
        pen_blue=blue / looked_at,
        pen_black=black / looked_at,
        blur_fine=fine,
        blur_coarse=coarse,
        grid=_grid(grey.reshape(rows, columns)),
        stains=has_stains(inside),
    )


def _every_second(count: int) -> int:
    """How many pixels ink is looked for on: every second of each block."""
    whole, rest = divmod(count, kernels.BLOCK)
    return whole * (kernels.BLOCK // 2) + (rest + 1) // 2


def _blur(grey: NDArray[np.uint8]) -> tuple[float | None, float | None]:
    """Energy of detail at half and at full size over that at a quarter; None where there is too little."""
    height, width = grey.shape
    half = scratch("half", (height // 2, width // 2), _SHORT)
    quarter = scratch("quarter", (height // 4, width // 4), _SHORT)
    kernels.halve(grey, half)
    kernels.halve(half, quarter)
    if not quarter.size:
        return None, None
    least = _detail(quarter, 16, DETAIL_PIXELS)
    if not least:
        return None, None
    return _detail(half, 4, 1) / least, _detail(grey, 1, 1) / least


def _detail(plane: NDArray[np.integer], pixels: int, enough: int) -> float:
    """Variance of the Laplacian of optical density in tissue; 0 where fewer pixels than enough are tissue."""
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
