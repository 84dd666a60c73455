"""tiles_of: one picture in memory, a camera's frame say, cut into tiles."""

from __future__ import annotations

import logging
import math

import numpy as np

from her2edge.errors import OptionError
from her2edge.slide.grid import Grid, TileSpec, check_spec, plan_grid
from her2edge.slide.levels import Level
from her2edge.slide.sample import sample
from her2edge.slide.scale import check_mpp
from her2edge.tile import Pixels, Tile, check_pixels

_log = logging.getLogger("her2edge")


def tiles_of(
    frame: Pixels,
    model: TileSpec,
    *,
    mpp: float | None = None,
    x: float = 0.0,
    y: float = 0.0,
    slide: str = "",
) -> list[Tile]:
    """Cut one picture into tiles of a model, row by row, as `SlideReader.tiles` cuts a plain image.

    frame: (h, w, 3) uint8 RGB, C-order or not. The tiles hold copies: a camera may fill its buffer again.
    model: a Model, or a TileSize.
    mpp:   um per pixel of the frame, 0.05..20; None: taken to be the model's.
    x, y:  where the top-left corner of the frame lies, in pixels of the frame's scale from the slide's
        origin; with them, the tiles of several frames of a slide lie in one coordinate frame.
    slide: name of the slide. A feed tells tiles apart by slide and place.

    What a tile has beyond the right or bottom edge of the frame is white, and not `valid`. A finer frame is
    averaged, a coarser one enlarged, with a warning above 5 %.

    Raises TileError for what is no such picture, OptionError for numbers out of range, SlideError for a frame
    more than 2.2 times coarser than the model's tiles.
    """
    pixels = check_pixels(frame)
    check_spec(model)
    check_mpp(mpp)
    for name, place in (("x", x), ("y", y)):
        if not (isinstance(place, int | float) and math.isfinite(place)):
            raise OptionError(f"found {name}={place!r}, expected pixels, e.g. the stage's position")
    height, width = pixels.shape[:2]
    scale = float(model.mpp if mpp is None else mpp)
    grid = plan_grid((width, height), scale, model)
    if grid.upsampled:
        _log.warning(
            "%s: found %.4g um per pixel where the model needs %.4g: tiles are enlarged %.2f times, "
            "which the model was not trained on",
            slide or "frame", scale, grid.mpp, 1 / grid.scale,
        )  # fmt: skip
    source = _Frame(pixels)
    return [_tile(source, grid, place, (x, y), slide) for place in grid]


def _tile(
    source: _Frame, grid: Grid, place: tuple[int, int], corner: tuple[float, float], slide: str
) -> Tile:
    left, top = grid.origin(*place)
    rows, columns = valid = grid.valid(*place)
    pixels = sample(source, left, top, grid.scale, rows, columns)
    if valid != (grid.tile_px, grid.tile_px):
        inside = pixels
        pixels = np.full((grid.tile_px, grid.tile_px, 3), 255, np.uint8)
        pixels[:rows, :columns] = inside
    span = (grid.step, grid.step)
    return Tile(pixels, corner[0] + left, corner[1] + top, span, grid.mpp, valid, slide)


class _Frame:
    """A picture in memory as a `Source` of one level."""

    shared = True

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        height, width = pixels.shape[:2]
        self.levels: tuple[Level, ...] = (Level(width, height),)
        self.origin: tuple[int, int] = (0, 0)
        self.dimensions: tuple[int, int] = (width, height)
        self.mpp: tuple[float, float] | None = None
        self.scanner: str | None = None
        self.icc_profile: str | bool = False
        self.notes: tuple[str, ...] = ()

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        assert level == 0  # noqa: S101 - there is no other
        return self._pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        """There is no file."""
