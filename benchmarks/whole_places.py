"""Which places of a slide every way classifies: those of whole rows that are tissue by the paper's rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whole_job import MPP, TILE_PX, Job

from her2edge import SlideReader, Tile
from her2edge.slide import Grid, TileSize
from her2edge.tissue import TissueFilter

SPEC, RULE = TileSize(TILE_PX, MPP), TissueFilter()


def find_job(slide: Path, mpp: float | None, most: int, folder: Path, forms: Path, own: Path | None) -> Job:
    """Whole rows from a third of the slide's height on, until `most` places are tissue; 0: every row.

    Places that reach over the slide's edge are left out. Each is decoded: no map of glass decides here.
    """
    with SlideReader(slide, mpp=mpp) as reader:
        grid = reader.grid(SPEC)
        if reader.mpp is None:
            raise SystemExit(f"{slide}: found a folder, expected a slide")
        columns, rows = (int(side / grid.step + 1e-6) for side in grid.dimensions)
        first = rows // 3 if most else 0
        places: list[tuple[int, int]] = []
        row = first
        while row < rows and not (most and len(places) >= most):
            places += _tissue(reader, [(column, row) for column in range(columns)])
            row += 1
        scale = reader.mpp
    if not places:
        raise SystemExit(f"{slide}: found no tissue in the rows {first}..{row - 1}: choose another slide")
    region = folder / f"{slide.stem}.geojson"
    region.write_text(json.dumps(_rectangle(grid, columns, first, row)))
    model = None if own is None else str(own)
    return Job(
        str(slide.resolve()), scale, grid.step, (row - first) * columns, len(grid), places, str(region),
        str(forms), model,
    )  # fmt: skip


def _tissue(reader: SlideReader, places: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for place, tile in zip(places, reader.tiles(SPEC, places), strict=True):
        if not isinstance(tile, Tile):
            raise SystemExit(f"{reader.name}: column {place[0]}, row {place[1]} is not readable")
        if not RULE.is_background(tile.pixels):
            yield place


def _rectangle(grid: Grid, columns: int, first: int, end: int) -> dict[str, Any]:
    """As QuPath exports it; half a pixel larger, so that no place misses it by a rounding."""
    (left, top), (right, bottom) = grid.origin(0, first), grid.origin(columns, end)
    left, top, right, bottom = left - 0.5, top - 0.5, right + 0.5, bottom + 0.5
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    return {"type": "FeatureCollection", "features": [feature]}
