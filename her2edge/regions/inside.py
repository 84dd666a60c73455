"""Which tiles of a slide's grid lie in annotated regions: geometry only, no pixels.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from her2edge.errors import AnnotationError
from her2edge.regions.annotations import Annotation
from her2edge.regions.classes import EXCLUDE, IGNORE, meaning
from her2edge.slide import Grid

_FEW = 1000  # vertices, which are looked at for each tile
_ROUNDING = 1e-6  # of a tile: what float noise may take from a tile that lies wholly inside


@dataclass(frozen=True)
class Place:
    """A tile of the grid and the label of the regions it lies in."""

    column: int
    row: int
    label: str


@dataclass(frozen=True)
class Places:
    """chosen: tiles in regions of one label, row by row; two_labels: tiles left out because they lie in
    regions of two; outside: regions that do not reach the slide; excluded: tiles that excluded regions took.
    """

    chosen: Sequence[Place]
    two_labels: int
    outside: int
    excluded: int = 0


def find_places(
    annotation: Annotation, labels: Mapping[str, str], grid: Grid, slide: str, min_inside: float = 1.0
) -> Places:
    """Tiles with at least the share `min_inside`, 0..1, of their area in the regions of one label.

    labels: `classes.label_of` a table; each class must have a `classes.meaning`.
    Regions of one label count together, so a tile may lie across two of them. Excluded regions are cut out of
    all others first: a tile that has too little left is left out and counted. So is one that also lies in a
    region of another label; one that reaches over the slide's edge is never chosen.
    Raises AnnotationError where no region with a label lies on the slide.
    """
    joined, outside = _joined(annotation, labels, grid, slide)
    hole = joined.pop(EXCLUDE, None)
    drawn = left = _Labelled(joined, grid)
    if hole is not None:
        left = _Labelled({label: _areas(shape.difference(hole)) for label, shape in joined.items()}, grid)
    chosen: list[Place] = []
    two_labels = excluded = 0
    for row in range(grid.rows):
        columns = drawn.columns(row)
        if not columns:
            continue
        before = drawn.shares(row, columns)
        after = before if hole is None else left.shares(row, columns)
        touched = np.sum([share > _ROUNDING for share in after.values()], axis=0)
        for index, column in enumerate(columns):
            if not _enough(before, index, min_inside) or grid.valid(column, row) != (
                grid.tile_px,
                grid.tile_px,
            ):
                continue
            inside = _enough(after, index, min_inside)
            if not inside:
                excluded += 1
            elif touched[index] > 1:
                two_labels += 1
            else:
                chosen.append(Place(column, row, inside[0]))
    return Places(tuple(chosen), two_labels, outside, excluded)


def _enough(shares: Mapping[str, NDArray[np.float64]], index: int, min_inside: float) -> list[str]:
    return [label for label, share in shares.items() if share[index] >= min_inside - _ROUNDING]


def _joined(
    annotation: Annotation, labels: Mapping[str, str], grid: Grid, slide: str
) -> tuple[dict[str, Any], int]:
    """One shape per label, and EXCLUDE, in the order of first use; how many regions lie off the slide."""
    named = [(meaning(region.name, labels), region.shape) for region in annotation.regions]
    used = [(label, shape) for label, shape in named if label is not None and label != IGNORE]
    if all(label == EXCLUDE for label, _ in used):
        raise AnnotationError(
            f"{annotation.file}: found only regions of ignored classes or excluded ones, expected one with a "
            "label: correct the table of classes"
        )
    width, height = grid.dimensions
    slide_area = shapely.box(0, 0, width, height)
    on_slide = [
        slide_area.covers(shapely.box(*shape.bounds)) or shape.intersection(slide_area).area > 0
        for _, shape in used
    ]
    if not any(on for (label, _), on in zip(used, on_slide, strict=True) if label != EXCLUDE):
        left, top, right, bottom = shapely.total_bounds([shape for label, shape in used if label != EXCLUDE])
        raise AnnotationError(
            f"{annotation.file}: found regions at x {left:.0f}..{right:.0f}, y {top:.0f}..{bottom:.0f}, "
            f"expected them on {slide} of {width} x {height} pixels: pair each slide with its own annotation"
        )
    parts: dict[str, list[Any]] = {}
    for (label, shape), on in zip(used, on_slide, strict=True):
        if on:
            parts.setdefault(label, []).append(shape)
    return {label: shapely.union_all(shapes) for label, shapes in parts.items()}, on_slide.count(False)


def _areas(shape: Any) -> Any:
    """The polygons of a shape, without points and lines, where two shapes only touched."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    return shapely.union_all([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"])


class _Labelled:
    """A shape for each label, and what of it lies in each row of the grid."""

    def __init__(self, shapes: Mapping[str, Any], grid: Grid) -> None:
        self._shapes, self._grid = shapes, grid
        self._rows: dict[str, dict[int, Any]] = {
            label: {
                row: piece for rows, piece in _pieces(shape, grid.step, 1, range(grid.rows)) for row in rows
            }
            for label, shape in shapes.items()
        }
        for shape in shapes.values():
            shapely.prepare(shape)

    def columns(self, row: int) -> range:
        """Columns from the first to the last that a region may reach in this row."""
        step = self._grid.step
        near = [rows[row].bounds for rows in self._rows.values() if row in rows]
        if not near:
            return range(0)
        first = math.floor(min(left for left, *_ in near) / step)
        last = math.ceil(max(right for _, _, right, _ in near) / step)
        return range(max(0, first), min(self._grid.columns, last))

    def shares(self, row: int, columns: range) -> dict[str, NDArray[np.float64]]:
        """(len(columns),) share, 0..1, of each tile's area inside the shape, for each label."""
        step = self._grid.step
        left = np.asarray(columns) * step
        top = np.full_like(left, row * step)
        tiles = shapely.box(left, top, left + step, top + step)
        result = {}
        for label, shape in self._shapes.items():
            shares = np.asarray(shapely.covers(shape, tiles), np.float64)
            partly = (shares == 0) & shapely.intersects(shape, tiles)
            if partly.any() and row in self._rows[label]:
                for some, piece in _pieces(self._rows[label][row], step, 0, columns):
                    here = slice(some.start - columns.start, some.stop - columns.start)
                    areas = shapely.area(shapely.intersection(piece, tiles[here][partly[here]]))
                    shares[here][partly[here]] = areas / step**2
            result[label] = shares
        return result


def _pieces(shape: Any, step: float, axis: int, places: range) -> Iterator[tuple[range, Any]]:
    """Rows (axis 1) or columns (axis 0) that a shape reaches, and what of it lies there or around.

    A shape of many vertices is halved until few are left, so that no vertex is looked at for every row.
    """
    if shape.area == 0:
        return
    low, high = shape.bounds[axis], shape.bounds[axis + 2]
    first, end = max(places.start, math.floor(low / step)), min(places.stop, math.ceil(high / step))
    if first >= end:
        return
    if end - first == 1 or shapely.get_num_coordinates(shape) <= _FEW:
        yield range(first, end), shape
        return
    middle = (first + end) // 2
    halves = (range(first, middle), range(middle, end))
    for half, piece in zip(
        halves, _halved(shape, axis, first * step, middle * step, end * step), strict=True
    ):
        yield from _pieces(piece, step, axis, half)


def _halved(shape: Any, axis: int, low: float, middle: float, high: float) -> list[Any]:
    """What of a shape lies from `low` to `middle` and from there to `high`, along an axis."""
    boxes = []
    for start, end in ((low, middle), (middle, high)):
        bounds = list(shape.bounds)
        bounds[axis], bounds[axis + 2] = start, end
        boxes.append(bounds)
    quick = [
        shapely.clip_by_rect(shape, *bounds) for bounds in boxes
    ]  # ten times as fast, no promise of GEOS
    lost = shape.area - sum(piece.area for piece in quick)
    between = low <= shape.bounds[axis] and shape.bounds[axis + 2] <= high
    if between and abs(lost) < 1e-9 * shape.area and all(piece.is_valid for piece in quick):
        return [_areas(piece) for piece in quick]
    return [_areas(shape.intersection(shapely.box(*bounds))) for bounds in boxes]
