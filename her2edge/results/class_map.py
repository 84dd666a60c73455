"""The class map: a slide in grey, tiles coloured by class on tissue, with letters and hatching."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.answer.votes import kept_out
from her2edge.results.colours import FAILED_COLOUR, LEFT_OUT_COLOUR, Colour
from her2edge.results.drawing import INK, stamp
from her2edge.results.hatching import hatching
from her2edge.results.marks import REASONS, class_marks, reason_marks
from her2edge.results.slide_info import SlideInfo
from her2edge.tile import Outcome, Pixels, TileResult

if TYPE_CHECKING:
    from her2edge.regions.choose import ChosenPlaces

FAINT, STRONG = 0.15, 0.65  # opacity of a tile whose classes are all as probable, and of one at 1
VEIL = 0.5  # of mid-grey, over places that were not read
BLEACH = 0.7  # of white, over what lies outside the regions that were asked for
GLASS_GREY, GLASS_COLOUR = 235, 16  # as in the tissue filter: so grey, without more colour than that
LEAST_TISSUE = 0.05  # of a tile in the overview; one with less is painted whole: it is tissue all the same
LETTER, BLOCK = 22, 36  # px, at least, of a tile, of a block of smaller ones, that has room for a letter
OUTLINE = 24  # px, of a tile that has room for a line around it
_BAND = 128  # px, rows that are painted at a time: floats of a whole picture would take 40 MB

_EMPTY = -1  # place without a colour: glass, or background

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Places:
    """What became of each place of a grid.

    kind: (rows, columns) int16, index into labels + REASONS, or -1 for background and places that were not
    read. opacity: (rows, columns) float32. read: (rows, columns) bool. names: labels + REASONS.
    """

    kind: NDArray[np.int16]
    opacity: NDArray[np.float32]
    read: Mask
    names: tuple[str, ...]
    classes: int

    @classmethod
    def of(cls, results: Iterable[TileResult], slide: SlideInfo, labels: Sequence[str]) -> Places:
        """Of results whose slide has a grid: columns, rows and step."""
        columns, rows, step = _grid(slide)
        shape = rows, columns
        names = (*labels, *REASONS)
        kind = np.full(shape, _EMPTY, np.int16)
        opacity = np.zeros(shape, np.float32)
        read = np.zeros(shape, bool)
        index = {name: number for number, name in enumerate(names)}
        for one in results:
            at = min(rows - 1, round(one.y / step)), min(columns - 1, round(one.x / step))
            read[at] = True
            name = name_of(one)
            if name is not None:
                kind[at] = index.get(name, len(names) - 1)
                opacity[at] = opacity_of(one.confidence or 0.0, len(labels))
        return cls(kind, opacity, read, names, len(labels))


@dataclass(frozen=True, eq=False)
class Inside:
    """Where alone tiles were to be read. mask: (rows, columns), True for those places. outlines: (n, 2)
    float64 each, level-0 pixels, closed: of the regions.
    """

    mask: Mask
    outlines: tuple[NDArray[np.float64], ...] = ()

    @classmethod
    def of(cls, chosen: ChosenPlaces, slide: SlideInfo) -> Inside:
        columns, rows, _ = _grid(slide)
        mask = np.zeros(rows * columns, bool)
        mask[chosen.numbers] = True
        return cls(mask.reshape(rows, columns), chosen.outlines)


def name_of(result: TileResult) -> str | None:
    """The label of a tile that votes, else why it has no colour, of REASONS; None for background."""
    if result.outcome is Outcome.BACKGROUND:
        return None
    if result.outcome is not Outcome.CLASSIFIED:
        return Outcome.FAILED.value
    return kept_out(result) or result.label


def opacity_of(confidence: float, classes: int) -> float:
    """FAINT where all classes are as probable, STRONG at 1, even between."""
    sureness = (confidence - 1 / classes) / (1 - 1 / classes)
    return FAINT + (STRONG - FAINT) * max(0.0, sureness)


def tissue_mask(picture: Pixels) -> Mask:
    """(h, w) bool of an (h, w, 3) uint8 RGB overview: True but on glass, which is bright and without colour.

    Specks and holes of a pixel or two do not count, so that loose tissue is one area.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    spread = picture.max(axis=2) - picture.min(axis=2)
    tissue = ((grey < GLASS_GREY) | (spread > GLASS_COLOUR)).astype(np.uint8)
    for step, side in ((cv2.MORPH_OPEN, 3), (cv2.MORPH_CLOSE, 5)):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        tissue = np.asarray(cv2.morphologyEx(tissue, step, kernel), np.uint8)
    return np.asarray(tissue, bool)


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the places of a slide's grid lie in a picture of it.

    down, across: (rows + 1,), (columns + 1,) int edges of places, pixels; row_of, column_of: (h,), (w,) the
    place of each pixel.
    """

    down: NDArray[np.int64]
    across: NDArray[np.int64]
    row_of: NDArray[np.int64]
    column_of: NDArray[np.int64]

    @classmethod
    def of(cls, slide: SlideInfo, height: int, width: int) -> Frame:
        columns, rows, step = _grid(slide)
        down = _edges(rows, step * height / (slide.height or height), height)
        across = _edges(columns, step * width / (slide.width or width), width)
        return cls(down, across, _owners(down, height), _owners(across, width))

    def spread(self, grid: NDArray[Any], band: slice) -> NDArray[Any]:
        """(rows, columns) to (h, w) of a band of the picture: each pixel gets its place's value."""
        return np.asarray(grid[self.row_of[band, None], self.column_of[None, :]])

    def bands(self) -> Iterator[slice]:
        """Rows of the picture, _BAND at a time."""
        height = len(self.row_of)
        for top in range(0, height, _BAND):
            yield slice(top, min(top + _BAND, height))

    def total(self, pixels: Mask) -> NDArray[np.float64]:
        """(h, w) bool to (rows, columns): the share of True in each place; 0 where it has no pixel."""
        edges = zip(self.down[:-1], self.down[1:], strict=True)
        rows = [pixels[top:end].sum(axis=0, dtype=np.int64) for top, end in edges]
        starts = self.across[:-1].clip(max=len(self.column_of) - 1)
        sums = np.add.reduceat(np.stack(rows), starts, axis=1)
        area = np.diff(self.down)[:, None] * np.diff(self.across)[None, :]
        return np.where(area > 0, sums / np.maximum(area, 1), 0.0)


def _grid(slide: SlideInfo) -> tuple[int, int, float]:
    """Columns, rows and step; what has a picture of the whole has a grid."""
    if slide.columns is None or slide.rows is None or slide.step is None:
        raise AssertionError(f"found {slide.name} without a grid, expected a slide")
    return slide.columns, slide.rows, slide.step


def _edges(count: int, step: float, end: int) -> NDArray[np.int64]:
    return np.asarray(np.minimum(np.rint(np.arange(count + 1) * step), end), np.int64)


def _owners(edges: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    owners = np.searchsorted(edges, np.arange(length), side="right") - 1
    return np.asarray(np.clip(owners, 0, len(edges) - 2), np.int64)


def draw_class_map(
    overview: Pixels,
    places: Places,
    slide: SlideInfo,
    colours: Mapping[str, Colour],
    *,
    partly: bool = False,
    inside: Inside | None = None,
) -> Pixels:
    """(h, w, 3) uint8 RGB from an overview of that form that shows the whole slide.

    A tile's colour lies on its tissue only; hatching says why a tile does not vote (`hatching`), letters what
    both mean (`marks`), where a tile or a block of equal ones has room. partly: places were left unread,
    which is no glass: they stay under a veil. inside: what is around is bleached, and
    the regions are outlined. colours: by label, in the model's order.
    """
    height, width = overview.shape[:2]
    frame = Frame.of(slide, height, width)
    grey = cv2.cvtColor(overview, cv2.COLOR_RGB2GRAY)  # colour means class, and nothing else
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if not places.kind.size:
        return picture
    tissue = tissue_mask(overview)
    bare = frame.total(tissue) < LEAST_TISSUE
    for band in frame.bands():
        part = picture[band]
        if partly:
            unread = ~places.read if inside is None else inside.mask & ~places.read
            _blend(part, frame.spread(unread, band), VEIL, 128)
        if inside is not None:
            _blend(part, frame.spread(~inside.mask, band), BLEACH, 255)
        coloured = tissue[band] | frame.spread(bare, band)
        kind = np.where(coloured, frame.spread(places.kind, band), _EMPTY)
        _paint(part, kind, frame.spread(places.opacity, band), places, colours, band.start)
    _outline(picture, frame, places, colours)
    if inside is not None:
        scale = np.array([width / (slide.width or width), height / (slide.height or height)])
        rings = [np.rint(16 * (ring * scale - 0.5)).astype(np.int32) for ring in inside.outlines]
        cv2.polylines(picture, rings, True, INK, 2, cv2.LINE_AA, 4)
    _letter(picture, frame, places)
    return picture


def _paint(
    part: Pixels,
    kind: NDArray[np.int16],
    opacity: NDArray[np.float32],
    places: Places,
    colours: Mapping[str, Colour],
    top: int,
) -> None:
    """Colour and hatching on a band that begins at row `top`. kind, opacity: (h, w) of its pixels."""
    palette = np.array([colours[name] for name in places.names[: places.classes]], np.float32)
    classed = (kind >= 0) & (kind < places.classes)
    shown = opacity[classed][:, None]
    part[classed] = part[classed] * (1 - shown) + palette[kind[classed]] * shown
    for number, name in enumerate(places.names[places.classes :], start=places.classes):
        own = kind == number
        if own.any():
            dark = FAILED_COLOUR if name == Outcome.FAILED else LEFT_OUT_COLOUR
            part[own & hatching(name, part.shape[0], part.shape[1], top)] = dark


def _blend(picture: Pixels, where: Mask, share: float, grey: int) -> None:
    picture[where] = picture[where] * (1 - share) + grey * share


def _outline(picture: Pixels, frame: Frame, places: Places, colours: Mapping[str, Colour]) -> None:
    """A line around each tile, in its colour, where there is room: what of it is glass belongs to it too."""
    if min(_side(frame.down), _side(frame.across)) < OUTLINE:
        return
    for row, column in zip(*np.nonzero(places.kind >= 0), strict=True):
        name = places.names[places.kind[row, column]]
        top, bottom = frame.down[row], frame.down[row + 1] - 1
        left, right = frame.across[column], frame.across[column + 1] - 1
        if bottom > top and right > left:
            colour = colours.get(name, FAILED_COLOUR if name == Outcome.FAILED else LEFT_OUT_COLOUR)
            cv2.rectangle(picture, (int(left), int(top)), (int(right), int(bottom)), colour, 1)


def _side(edges: NDArray[np.int64]) -> int:
    return int(edges[1] - edges[0])


def _letter(picture: Pixels, frame: Frame, places: Places) -> None:
    """A letter on each tile; where tiles are small, on each block of tiles that are alike."""
    labels = places.names[: places.classes]
    marks = [*class_marks(labels).values(), *reason_marks().values()]
    side = max(1, min(_side(frame.down), _side(frame.across)))
    block = 1 if side >= LETTER else math.ceil(BLOCK / side)
    rows, columns = places.kind.shape
    for row in range(0, rows, block):
        for column in range(0, columns, block):
            part = places.kind[row : row + block, column : column + block]
            there = part[part >= 0]
            if len(there) * 2 < block * block or (there != there[0]).any():
                continue
            top, bottom = frame.down[row], frame.down[min(rows, row + block)]
            left, right = frame.across[column], frame.across[min(columns, column + block)]
            stamp(picture, marks[there[0]], int(left + right) // 2, int(top + bottom) // 2)
