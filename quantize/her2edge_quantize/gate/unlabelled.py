"""Tiles that are files without a label: a folder of them, or a list. Each is decoded once, glass left out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from her2edge.errors import MissingInputError
from her2edge.files import look
from her2edge.ordered import in_order
from her2edge.sheets import Sheet, missing_columns
from her2edge.slide import list_images
from her2edge.slide.images import decode_image
from her2edge.text import from_disk, shown, to_disk
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.screen import usable
from her2edge_training.cohort.store import check_size
from her2edge_training.cohort.tile_list import TileListError, TileRecord
from her2edge_training.recipe import Recipe

_NEEDED = ("tile", "slide")
_SCALE = "um_per_pixel"
_EXAMPLE = ("tiles/a_1.png", "P07")
_THREADS = 4


def folder_tiles(folder: Path, recipe: Recipe) -> tuple[TileRecord, ...]:
    """Of a folder: each folder in it is a slide and a patient; images that lie in none are one slide's."""
    records = []
    for file in list_images(folder):
        tile = from_disk(file.relative_to(folder).as_posix())
        parts = PurePosixPath(tile).parts
        records.append(_record(folder, tile, parts[0] if len(parts) > 1 else folder.name, "", recipe.mpp))
    return _with_tissue(records, recipe)


def rows_of(sheet: Sheet) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by the column's name), a decimal comma made a point in um_per_pixel."""
    for row in sheet.rows:
        cells = dict(zip(sheet.names, row.cells, strict=False))
        yield row.line, cells | {name: sheet.number(cells[name]) for name in cells if name == _SCALE}


def listed_tiles(
    path: Path, header: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]], recipe: Recipe
) -> tuple[TileRecord, ...]:
    """Of a list: patient is the slide where it is empty, the scale the recipe's where none is given.

    rows: as `rows_of` gives them. Raises TileListError for missing columns, all of them, or cells that cannot
    be used, MissingInputError for a tile that is not there.
    """
    name = shown(path.name)
    missing = missing_columns(header, _NEEDED, _EXAMPLE)
    if missing:
        raise TileListError(f"{name}: {missing}")
    records = []
    for line, row in rows:
        tile, slide = (row.get(column, "") for column in _NEEDED)
        parts = PurePosixPath(tile).parts
        if not tile or not slide or PurePosixPath(tile).is_absolute() or ".." in parts or "\0" in tile:
            raise TileListError(
                f"{name} line {line}: found tile {tile!r} of slide {slide!r}, expected a path below the "
                "list's folder and the slide's name"
            )
        if look(path.parent / to_disk(tile), "a tile image", TileListError) != "file":
            raise MissingInputError(f"{name} line {line}: no tile {shown(tile)}: correct the row")
        mpp = _scale(row.get(_SCALE, ""), recipe.mpp, f"{name} line {line}")
        records.append(_record(path.parent, tile, slide, row.get("patient", ""), mpp))
    return _with_tissue(records, recipe)


def _scale(text: str, usual: float, where: str) -> float:
    try:
        return float(text) if text else usual
    except ValueError as error:
        raise TileListError(f"{where}: found um_per_pixel={text!r}, expected a number, or none") from error


def _record(folder: Path, tile: str, slide: str, patient: str, mpp: float) -> TileRecord:
    return TileRecord(tile, folder, slide, patient, "", "", None, None, mpp, None, "")


def _with_tissue(records: Iterable[TileRecord], recipe: Recipe) -> tuple[TileRecord, ...]:
    """Hashed, large enough, of the recipe's scale and not background; raises what decoding raises."""
    tissue = TissueFilter(share=recipe.max_background_share)

    def look_at(record: TileRecord) -> TileRecord:
        data = record.path.read_bytes()
        pixels = decode_image(io.BytesIO(data), record.path)
        check_size(record, pixels.shape, recipe.tile_px)
        share = tissue.background_share(pixels)
        return replace(record, sha256=hashlib.sha256(data).hexdigest(), tissue_fraction=1 - share)

    return usable(list(in_order(look_at, records, _THREADS)), recipe)[0]
