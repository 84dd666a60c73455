"""Which tiles of a slide's grid lie in annotated regions: geometry only, no pixels.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from her2edge.slide import Grid
from her2edge_training.classes import IGNORE, key
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
    regions of two; outside: regions that do not reach the slide."""

    chosen: tuple[Place, ...]
    two_labels: int
    outside: int


def find_places(
    annotation: Annotation, labels: Mapping[str, str], grid: Grid, slide: str, min_inside: float = 1.0
) -> Places:
    """Tiles with at least the share `min_inside`, 0..1, of their area in the regions of one label.

    labels: label or IGNORE by `classes.key` of the region's class; each class must be there.
    Regions of one label count together, so a tile may lie across two of them. A tile that also lies in a
    region of another label is left out and counted; one that reaches over the slide's edge is never chosen.
    Raises AnnotationError where no region with a label lies on the slide.
    """
    joined, outside = _joined(annotation, labels, grid, slide)
    chosen: list[Place] = []
    two_labels = 0
    for row in range(grid.rows):
        columns = _columns(joined, grid, row)
        if not columns:
            continue
        shares = {label: _shares(shape, grid, row, columns) for label, shape in joined.items()}
        touched = np.sum([share > _ROUNDING for share in shares.values()], axis=0)
        for index, column in enumerate(columns):
            inside = [label for label, share in shares.items() if share[index] >= min_inside - _ROUNDING]
            if not inside or grid.valid(column, row) != (grid.tile_px, grid.tile_px):
                continue
            if touched[index] > 1:
                two_labels += 1
            else:
                chosen.append(Place(column, row, inside[0]))
    return Places(tuple(chosen), two_labels, outside)


def _joined(
    annotation: Annotation, labels: Mapping[str, str], grid: Grid, slide: str
) -> tuple[dict[str, Any], int]:
    """One shape per label, in the order of first use, and how many regions lie off the slide."""
    named = [(labels[key(region.name)], region.shape) for region in annotation.regions]
    named = [(label, shape) for label, shape in named if label != IGNORE]
    if not named:
        raise AnnotationError(
            f"{annotation.file}: found only regions of ignored classes, expected one with a label: "
            "correct the table of classes"
        )
    width, height = grid.dimensions
    on_slide = [shape.intersection(shapely.box(0, 0, width, height)).area > 0 for _, shape in named]
    if not any(on_slide):
        left, top, right, bottom = shapely.total_bounds([shape for _, shape in named])
        raise AnnotationError(
            f"{annotation.file}: found regions at x {left:.0f}..{right:.0f}, y {top:.0f}..{bottom:.0f}, "
            f"expected them on {slide} of {width} x {height} pixels: pair each slide with its own annotation"
        )
    parts: dict[str, list[Any]] = {}
    for (label, shape), there in zip(named, on_slide, strict=True):
        if there:
            parts.setdefault(label, []).append(shape)
    joined = {label: shapely.union_all(shapes) for label, shapes in parts.items()}
    for shape in joined.values():
        shapely.prepare(shape)
    return joined, on_slide.count(False)


def _columns(joined: dict[str, Any], grid: Grid, row: int) -> range:
    """Columns from the first to the last that a region may reach in this row."""
    top = row * grid.step
    near = [
        (left, right)
        for left, low, right, high in (shape.bounds for shape in joined.values())
        if low < top + grid.step and high > top
    ]
    if not near:
        return range(0)
    first = math.floor(min(left for left, _ in near) / grid.step)
    last = math.ceil(max(right for _, right in near) / grid.step)
    return range(max(0, first), min(grid.columns, last))


def _shares(shape: Any, grid: Grid, row: int, columns: range) -> NDArray[np.float64]:
    """(len(columns),) share, 0..1, of each tile's area inside `shape`."""
    left = np.asarray(columns) * grid.step
    top = np.full_like(left, row * grid.step)
    tiles = shapely.box(left, top, left + grid.step, top + grid.step)
    shares = np.asarray(shapely.covers(shape, tiles), np.float64)
    partly = (shares == 0) & shapely.intersects(shape, tiles)
    if partly.any():  # the row's strip first: each tile then meets only the vertices of its row
        strip = shape.intersection(shapely.box(left[0], top, left[-1] + grid.step, top + grid.step))
        shares[partly] = shapely.area(shapely.intersection(strip, tiles[partly])) / grid.step**2
    return shares
