"""GlassMap: places of a grid that a coarse level shows to be glass, so that they need not be decoded.

The proof. A tile whose background share is below `share` has more than 1 - share of its pixels darker than
`low`, so its mean grey is at most m = (1 - share) (low - 1) + share 255, 224.6 for the paper's rule. Where
each of the 16 x 16 cells of a place is brighter than m, so is their mean: the place cannot be tissue, however
its flecks lie. That holds where cells are area means. LIMIT grey levels of room, a margin of cells around
the place, and a comparison with level 0 are for levels that are not quite that.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge._quality_kernels import GLASS_COLOUR, GLASS_GREY
from her2edge.errors import SlideReadError
from her2edge.ordered import Deferred, in_order
from her2edge.slide.grid import Grid
from her2edge.slide.images import MAX_PIXELS
from her2edge.slide.isolated import HungError
from her2edge.slide.lent import Lent
from her2edge.slide.levels import Level
from her2edge.slide.sample import best_level, sample
from her2edge.slide.sources import Source
from her2edge.tile import Pixels, Tile, UnreadableTile

RULE = "glass-1"  # another rule gets another name: results depend on it
CELLS = 16  # on each side of a place: of 32 pixels at 512
MARGIN = 2  # cells around a place that are glass, too
LIMIT = 10  # grey levels above the brightest mean that a tile of tissue can have
BELOW = 4  # grey levels that glass may be darker than most glass of the slide; fat is more
SMALLER = 3  # times, at least: else the level costs much of what it saves
_READ_PX = 2048  # side of what is read at once, pixels of the level
_COMPARED = 8  # places of a kind that are compared with level 0, at most; twice of what is not glass
_GLASS_DIFFERS, _DIFFERS = 6.0, 16.0  # mean grey of a place, between a level and level 0

Light = NDArray[np.uint8]
Places = NDArray[np.bool_]
T = TypeVar("T")
Walk = Callable[[Iterable[tuple[int, int]]], Iterator[Tile | UnreadableTile]]
_log = logging.getLogger("her2edge")


@dataclass(frozen=True, eq=False)
class GlassMap:
    """places: (rows, columns) bool, true where a place of the grid is glass."""

    places: Places

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Whether the place (column, row) is glass."""
        return bool(self.places[place[1], place[0]])

    def __len__(self) -> int:
        return int(np.count_nonzero(self.places))

    def to_bytes(self) -> bytes:
        """A bit for each place."""
        return np.packbits(self.places).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, rows: int, columns: int) -> GlassMap:
        """The inverse of `to_bytes`; raises ValueError for other bytes."""
        if len(data) != -(-rows * columns // 8):
            raise ValueError(f"{len(data)} bytes for {rows} x {columns} places")
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=rows * columns)
        return cls(bits.astype(np.bool_).reshape(rows, columns))


def glass_level(levels: tuple[Level, ...], grid: Grid) -> int | None:
    """The level that glass is looked for in; None where none is small enough, and fine enough for 16 cells a
    place."""
    number = best_level(levels, _cell(grid))
    level = levels[number]
    small = level.width * level.height <= MAX_PIXELS
    return number if small and level.downsample * 1.001 >= SMALLER * grid.scale else None


def find_glass(
    lent: Lent[Source], grid: Grid, full: tuple[int, int], darkest: float, readers: int, walk: Walk, name: str
) -> GlassMap:
    """The glass of a grid whose `glass_level` is not None.

    full: (rows, columns) of places that lie wholly on the slide; others are never glass here. darkest: mean
    grey above which no tile is tissue. walk: reads places of the grid. Where the level does not show what
    level 0 does, which is warned of, nothing is glass. Raises HungError.
    """
    light = _light(lent, grid, readers)
    places = _places(light, full, max(GLASS_GREY, math.ceil(darkest + LIMIT)))
    found = GlassMap(places)
    if len(found) and not _shows_level_0(lent, found, grid, full, readers, walk, name):
        return GlassMap(np.zeros_like(places))
    return found


def _cell(grid: Grid) -> float:
    """Side of a cell, level-0 pixels."""
    return grid.step / CELLS


def _light(lent: Lent[Source], grid: Grid, readers: int) -> Light:
    """(rows * CELLS, columns * CELLS) grey; 0 where there is colour, or nothing can be read."""
    levels, cell = lent.first.levels, _cell(grid)
    level = levels[best_level(levels, cell)]
    side = max(1, int(_READ_PX * level.downsample / grid.step))  # places

    def read(column: int, row: int) -> tuple[int, int, Light]:
        rows, columns = (CELLS * min(side, n) for n in (grid.rows - row, grid.columns - column))
        x, y = grid.origin(column, row)
        try:
            pixels = lent.use(lambda source: sample(source, x, y, cell, rows, columns))
        except HungError:
            raise
        except SlideReadError:
            return row, column, np.zeros((rows, columns), np.uint8)
        return row, column, _colourless(pixels)

    blocks = ((c, r) for r in range(0, grid.rows, side) for c in range(0, grid.columns, side))
    calls = (partial(read, *block) for block in blocks)
    out = np.zeros((CELLS * grid.rows, CELLS * grid.columns), np.uint8)
    for row, column, part in _at_once(Deferred(calls, lent.at_once), readers):
        top, left = CELLS * row, CELLS * column
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out


def _colourless(pixels: Pixels) -> Light:
    """Grey of (h, w, 3) uint8 RGB; 0 where it is not without colour."""
    colour = pixels.max(axis=2) - pixels.min(axis=2)
    return np.where(colour <= GLASS_COLOUR, _grey(pixels), 0).astype(np.uint8)


def _grey(pixels: Pixels) -> Light:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _places(light: Light, full: tuple[int, int], darkest: int) -> Places:
    """Which places are glass, all of their cells and those around them."""
    rows, columns = full
    inside = light[: CELLS * rows, : CELLS * columns]
    counts = np.bincount(inside.reshape(-1), minlength=256)
    usual = counts[darkest:255]  # pure white is no glass that was photographed
    if usual.any():
        darkest = max(darkest, darkest + int(np.argmax(usual)) - BELOW)
    bright = (light >= min(darkest, 255)).astype(np.uint8)
    bright = np.asarray(cv2.erode(bright, np.ones((2 * MARGIN + 1,) * 2, np.uint8)), np.uint8)
    shape = (light.shape[0] // CELLS, CELLS, light.shape[1] // CELLS, CELLS)
    places: Places = np.asarray(bright.reshape(shape).all(axis=(1, 3)), np.bool_)
    places[rows:], places[:, columns:] = False, False
    return places


def _shows_level_0(
    lent: Lent[Source],
    found: GlassMap,
    grid: Grid,
    full: tuple[int, int],
    readers: int,
    walk: Walk,
    name: str,
) -> bool:
    """Whether places are as bright in level 0 as in the level: glass beside tissue, glass, and others."""
    chosen = _compared(found.places, full)
    compared = 0
    for tile in _at_once(walk(chosen), readers):
        if isinstance(tile, UnreadableTile):
            continue
        place = round(tile.x / grid.step), round(tile.y / grid.step)
        small = lent.use(partial(sample, x=tile.x, y=tile.y, scale=_cell(grid), rows=CELLS, columns=CELLS))
        differs = abs(float(_grey(small).mean()) - float(_grey(tile.pixels).mean()))
        compared += place in found
        if differs > (_GLASS_DIFFERS if place in found else _DIFFERS):
            _log.warning(
                "%s: found a smaller level that differs from the full resolution by %.0f grey levels at "
                "(%.0f, %.0f): every place is decoded", name, differs, tile.x, tile.y,
            )  # fmt: skip
            return False
    return compared > 0


def _compared(glass: Places, full: tuple[int, int]) -> list[tuple[int, int]]:
    """(column, row) of places at even distances of each kind."""
    others = ~glass
    others[full[0] :], others[:, full[1] :] = False, False
    beside = glass & (cv2.dilate((~glass).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    chosen: set[tuple[int, int]] = set()
    for kind, most in ((beside, _COMPARED), (glass, _COMPARED), (others, 2 * _COMPARED)):
        rows, columns = np.nonzero(kind)
        count = min(most, -(-len(rows) // 8))
        picked = [(2 * n + 1) * len(rows) // (2 * count) for n in range(count)]
        chosen.update((int(columns[n]), int(rows[n])) for n in picked)
    return sorted(chosen, key=lambda place: (place[1], place[0]))


def _at_once(items: Iterator[T], readers: int) -> Iterator[T]:
    return in_order(lambda item: item, items, 1 if readers == 1 else 2, 2 * readers, readers=readers)
