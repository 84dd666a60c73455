"""The grid of model-sized tiles over a slide: geometry and the scale rule, no pixels, no files.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down. Tile (column, row)
covers [column * step, (column + 1) * step) x [row * step, (row + 1) * step), step a float.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from her2edge.errors import OptionError, SlideError

UPSAMPLED_ABOVE = 1.05  # a 0.2527 um/px scanner read at 0.25 um/px is ordinary, not worth a warning
REFUSED_ABOVE = 2.2  # a 20x scan (0.5 um/px) can still feed a 40x model (0.25 um/px); a 10x scan cannot
MAX_TILE_PX = 8192


class TileSpec(Protocol):
    """What a grid needs to know of a model; `her2edge.Model` and `TileSize` both have it."""

    @property
    def tile_px(self) -> int:
        """Side of the square tile, pixels."""
        ...

    @property
    def mpp(self) -> float:
        """Scale of the tile, um per pixel."""
        ...


@dataclass(frozen=True)
class TileSize:
    """Side of the square tile in pixels and its scale in um per pixel, for callers without a model."""

    tile_px: int = 512
    mpp: float = 0.25

    def __post_init__(self) -> None:
        check_spec(self)


@dataclass(frozen=True)
class Grid:
    """Where the tiles of one slide lie.

    dimensions: (width, height) of the slide, level-0 pixels.
    step:       side of a tile, level-0 pixels.
    scale:      level-0 pixels per tile pixel; below 1 tiles are enlarged.
    mpp:        um per pixel of the tiles.
    upsampled:  True where the slide is more than 5 % coarser than the tiles.
    """

    dimensions: tuple[int, int]
    step: float
    columns: int
    rows: int
    tile_px: int
    mpp: float
    scale: float
    upsampled: bool

    def __len__(self) -> int:
        return self.columns * self.rows

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(column, row) of every tile, row by row."""
        return ((column, row) for row in range(self.rows) for column in range(self.columns))

    def spread(self, at_most: int) -> Iterator[tuple[int, int]]:
        """(column, row) of at most so many tiles, in columns and rows at even distances, about as many of
        each as the grid's shape asks for."""
        across = min(self.columns, max(1, round(math.sqrt(at_most * self.columns / self.rows))), at_most)
        down = min(self.rows, at_most // across)
        across = min(self.columns, at_most // down)
        columns = [(2 * i + 1) * self.columns // (2 * across) for i in range(across)]
        rows = [(2 * i + 1) * self.rows // (2 * down) for i in range(down)]
        return ((column, row) for row in rows for column in columns)

    def origin(self, column: int, row: int) -> tuple[float, float]:
        """Top-left corner (x, y), level-0 pixels."""
        return column * self.step, row * self.step

    def valid(self, column: int, row: int, reach: tuple[int, int] | None = None) -> tuple[int, int]:
        """(rows, columns) of tile pixels that lie at least half inside the slide, 1..tile_px each.

        reach: (width, height) to which there are pixels, where the slide's frame goes beyond."""
        x, y = self.origin(column, row)
        width, height = map(min, self.dimensions, reach or self.dimensions)
        return self._inside(height - y), self._inside(width - x)

    def _inside(self, rest: float) -> int:
        return min(self.tile_px, max(1, math.floor(rest / self.scale + 0.5)))


def plan_grid(dimensions: tuple[int, int], slide_mpp: float, spec: TileSpec) -> Grid:
    """Lay tiles of `spec` over a slide of `dimensions` (width, height) level-0 pixels.

    The last column or row is there while at least half a tile pixel of it lies inside the slide.
    Raises SlideError where the slide is more than 2.2 times coarser than the tiles.
    """
    check_spec(spec)
    tile_px, mpp = spec.tile_px, float(spec.mpp)
    coarser = slide_mpp / mpp
    if coarser > REFUSED_ABOVE * (1 + 1e-9):
        raise SlideError(
            f"found {slide_mpp:.4g} um per pixel, expected at most {REFUSED_ABOVE * mpp:.4g} (the model "
            f"needs {mpp:.4g}): scan at a higher magnification, or correct the scale with --mpp (mpp=)"
        )
    step = tile_px * mpp / slide_mpp
    columns, rows = (max(1, math.ceil(side / step - 0.5 / tile_px)) for side in dimensions)
    return Grid(dimensions, step, columns, rows, tile_px, mpp, mpp / slide_mpp, coarser > UPSAMPLED_ABOVE)


def check_spec(spec: TileSpec) -> None:
    """Raise OptionError unless the tile side is 1..8192 pixels and the scale finite and above 0."""
    if not (isinstance(spec.tile_px, int) and 1 <= spec.tile_px <= MAX_TILE_PX):
        raise OptionError(f"found tile_px={spec.tile_px!r}, expected a whole number in 1..{MAX_TILE_PX}")
    if not (isinstance(spec.mpp, int | float) and 0 < spec.mpp < math.inf):
        raise OptionError(f"found mpp={spec.mpp!r}, expected a number above 0, e.g. 0.25 at 40x")
