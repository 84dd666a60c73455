"""The quality of a tile, measured of its own pixels: no other tile, no stain mode, no fit has a say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.quality.blur import blur_figures
from her2edge.quality.codes import Figures, Quality, judge_quality
from her2edge.quality.ink import ink_shares
from her2edge.quality.limits import QualityLimits
from her2edge.quality.stains import has_stains
from her2edge.scratch import scratch
from her2edge.tile import Pixels
from her2edge.tissue import Light, TissueFilter, measure_light

_INT, _LONG = np.dtype(np.int32), np.dtype(np.int64)


def measure_quality(
    pixels: Pixels, valid: tuple[int, int], limits: QualityLimits, light: Light | None = None
) -> Quality:
    """Codes and figures of a tissue tile by the limits of a model.

    pixels: (h, w, 3) uint8 RGB, C-order, as the slide has them; valid: (rows, columns) in 1..h, 1..w; light:
    that of its valid pixels, where it was measured before. The caller has checked all. Whatever the pixels,
    there are codes and no exception.
    """
    figures = measure_figures(pixels, valid, light)
    return Quality(judge_quality(figures, limits), figures)


def measure_figures(pixels: Pixels, valid: tuple[int, int], light: Light | None = None) -> Figures:
    """`measure_quality` without limits."""
    rows, columns = valid
    inside = np.ascontiguousarray(pixels[:rows, :columns])
    if light is None:
        light = measure_light(TissueFilter(), inside)
    over, green, blue, black, clear = ink_shares(inside, light.grey)
    full, half, quarter, eighth, along = blur_figures(light.grey)
    return Figures(
        inside=rows * columns / (pixels.shape[0] * pixels.shape[1]),
        glass=light.glass,
        over_exposed=over,
        pen_green=green,
        pen_blue=blue,
        pen_black=black,
        pen_clear=clear,
        blur_full=full,
        blur_half=half,
        blur_quarter=quarter,
        blur_eighth=eighth,
        blur_along=along,
        grid=_grid(light.grey),
        stains=has_stains(inside),
    )


def _grid(grey: NDArray[np.uint8]) -> float:
    """How much larger steps are across one in eight columns, and rows, than across the others; 1: not."""
    across, down = scratch("across", (8,), _LONG), scratch("down", (8,), _LONG)
    kernels.grid_steps(grey, scratch("column", (grey.shape[1],), _INT), across, down)
    return math.sqrt(_steepness(across.tolist()) * _steepness(down.tolist()))


def _steepness(steps: list[int]) -> float:
    ordered = sorted(steps)
    usual = sum(ordered[1:7])
    return 6 * ordered[7] / usual if usual else 1.0
