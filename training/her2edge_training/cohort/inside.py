"""Which tiles of a slide's grid lie in annotated regions: geometry only, no pixels.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from her2edge.slide import Grid
from her2edge_training.classes import EXCLUDE, IGNORE, meaning
from her2edge_training.cohort.annotations import Annotation, AnnotationError

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

    chosen: tuple[Place, ...]
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
    on_slide = [shape.intersection(shapely.box(0, 0, width, height)).area > 0 for _, shape in used]
    if not any(there for (label, _), there in zip(used, on_slide, strict=True) if label != EXCLUDE):
        left, top, right, bottom = shapely.total_bounds([shape for label, shape in used if label != EXCLUDE])
        raise AnnotationError(
            f"{annotation.file}: found regions at x {left:.0f}..{right:.0f}, y {top:.0f}..{bottom:.0f}, "
            f"expected them on {slide} of {width} x {height} pixels: pair each slide with its own annotation"
        )
    parts: dict[str, list[Any]] = {}
    for (label, shape), there in zip(used, on_slide, strict=True):
        if there:
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
        self._strips = {label: dict(_strips(shape, grid, 0, grid.rows)) for label, shape in shapes.items()}
        for shape in shapes.values():
            shapely.prepare(shape)

    def columns(self, row: int) -> range:
        """Columns from the first to the last that a region may reach in this row."""
        step = self._grid.step
        near = [strips[row].bounds for strips in self._strips.values() if row in strips]
        if not near:
            return range(0)
        first = math.floor(min(left for left, *_ in near) / step)
        last = math.ceil(max(right for _, _, right, _ in near) / step)
        return range(max(0, first), min(self._grid.columns, last))

    def shares(self, row: int, columns: range) -> dict[str, NDArray[np.float64]]:
        """(len(columns),) share, 0..1, of each tile's area inside the shape, for each label."""
        step = self._grid.step
        left, top = np.asarray(columns) * step, row * step
        tiles = shapely.box(left, top, left + step, top + step)
        result = {}
        for label, shape in self._shapes.items():
            shares = np.asarray(shapely.covers(shape, tiles), np.float64)
            partly = (shares == 0) & shapely.intersects(shape, tiles)
            if partly.any() and row in self._strips[label]:
                inside = shapely.intersection(self._strips[label][row], tiles[partly])
                shares[partly] = shapely.area(inside) / step**2
            result[label] = shares
        return result


def _strips(shape: Any, grid: Grid, first: int, end: int) -> Iterator[tuple[int, Any]]:
    """Rows from `first` to `end` - 1 that the shape reaches, and what lies in each.

    By halves, so that each vertex is looked at once for each halving, not once for each row.
    """
    left, low, right, high = shape.bounds if not shape.is_empty else (0, 0, 0, 0)
    step = grid.step
    first, end = max(first, math.floor(low / step)), min(end, math.ceil(high / step))
    if shape.area == 0 or first >= end:
        return
    if low < first * step or high > end * step:
        shape = _areas(shape.intersection(shapely.box(left, first * step, right, end * step)))
    if end - first == 1:
        yield first, shape
        return
    middle = (first + end) // 2
    yield from _strips(shape, grid, first, middle)
    yield from _strips(shape, grid, middle, end)
