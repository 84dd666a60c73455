"""Pixels of a source at any origin and scale: chooses the level, reads once, resamples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import SlideError
from her2edge.slide.grid import Grid
from her2edge.slide.images import MAX_PIXELS
from her2edge.slide.levels import Level
from her2edge.slide.resample import resample_area, resample_cubic
from her2edge.slide.sources import Source
from her2edge.tile import Pixels

_LEVEL_SLACK = 1.001  # scanners state 4.0001 for 4: reading the level below for that would cost 16 times more
_MARGIN = 2  # neighbours that cubic interpolation needs


def best_level(levels: tuple[Level, ...], scale: float) -> int:
    """The level with the largest downsample not above `scale` (by more than 0.1 %); level 0 where none."""
    fitting = [n for n, level in enumerate(levels) if level.downsample <= scale * _LEVEL_SLACK]
    return max(fitting, key=lambda n: levels[n].downsample, default=0)


def check_region(source: Source, grid: Grid) -> None:
    """Raise SlideError where one tile would need more than 64 Mpx of the slide at once."""
    level = source.levels[best_level(source.levels, grid.scale)]
    side = grid.step / level.downsample
    if min(side, level.width) * min(side, level.height) > MAX_PIXELS:
        raise SlideError(
            f"found no level near {grid.scale:.4g} times reduction: one tile needs {side:.0f} x {side:.0f} "
            "pixels, expected at most 64 million: save the slide with a pyramid, or check --mpp (mpp=)"
        )


def sample(source: Source, x: float, y: float, scale: float, rows: int, columns: int) -> Pixels:
    """(rows, columns, 3) uint8 RGB; pixel (i, j) covers `scale` level-0 pixels from (x + j * scale,
    y + i * scale) in the frame of the source.

    Finer source: area means. Coarser: cubic. Same scale and whole origin: the stored pixels, untouched. What
    lies outside of level 0 is white.
    """
    number = best_level(source.levels, scale)
    level = source.levels[number]
    ratio, below = _snap(scale / level.across), _snap(scale / level.down)
    margin = _MARGIN if ratio * below < 1 else 0
    across = _Axis(source.origin[0], source.dimensions[0], level.width, level.across, level.stated)
    down = _Axis(source.origin[1], source.dimensions[1], level.height, level.down, level.stated)
    left, width, x0 = across.stored(x, columns * ratio, margin)
    top, height, y0 = down.stored(y, rows * below, margin)
    pixels = source.read(number, left, top, width, height)
    if ratio == below == 1 and x0 == 0 and y0 == 0 and pixels.shape[:2] == (rows, columns):
        return pixels
    out = np.empty((rows, columns, 3), np.uint8)
    resample = resample_cubic if ratio * below < 1 else resample_area
    resample(pixels, x0, y0, ratio, out, below)
    full = source.levels[0]
    out[~_inside(source.origin[1] + y, scale, rows, full.height)] = 255
    out[:, ~_inside(source.origin[0] + x, scale, columns, full.width)] = 255
    return out


def _inside(start: float, scale: float, count: int, side: int) -> NDArray[np.bool_]:
    """Which of `count` pixels of `scale` level-0 pixels from `start` on lie at least half in 0..side."""
    centres = start + scale * (np.arange(count) + 0.5)
    return (centres >= 0) & (centres <= side)


@dataclass(frozen=True)
class _Axis:
    """One axis of a level of `size` pixels; the frame is [origin, origin + length) in level-0 pixels, also
    outside of the level. `stated` is OpenSlide's own downsample."""

    origin: int
    length: int
    size: int
    downsample: float
    stated: float

    def stored(self, at: float, extent: float, margin: int) -> tuple[int, int, float]:
        """What to read for `extent` level pixels from `at` (level-0 pixels in the frame) on: the first
        level-0 pixel, how many level pixels, and where in them `at` lies. Never outside of frame or level."""
        position = _snap((self.origin + at) / self.downsample)
        high = min(self.size, math.ceil((self.origin + self.length) / self.downsample))
        low = min(max(0, math.floor(self.origin / self.downsample)), high - 1)
        first = min(max(math.floor(position) - margin, low), high - 1)
        end = min(max(math.ceil(_snap(position + extent)) + margin, first + 1), high)
        # OpenSlide takes level-0 integers and interpolates what is left: count from what it delivers.
        stored = round(first * self.stated)
        return stored, end - first, _snap(position - stored / self.stated)


def _snap(value: float) -> float:
    """Without float noise: within 1e-6 of a whole number is that number."""
    return float(round(value)) if abs(value - round(value)) < 1e-6 else value
