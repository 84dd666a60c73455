"""`--gate-data`: tiles of other patients, labelled or not, from slides, folders and lists of either.

slide, folder of slides      tissue tiles at random places, the slide standing for its patient
list of slides               the same; its columns patient and mpp are used
folder of tiles              the scale is the recipe's; each folder in it stands for a patient
list of tiles                as `train` reads it; without labels only `tile` and `slide` are needed
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from her2edge.answer import RandomOrder
from her2edge.cohort import CohortSlide, read_cohort
from her2edge.errors import SlideReadError
from her2edge.files import look, read_input
from her2edge.sheets import read_sheet
from her2edge.slide import SlideReader, is_slide, look_into
from her2edge.text import shown
from her2edge.tile import UnreadableTile
from her2edge.tissue import TissueFilter
from her2edge_quantize.gate.gate_store import SlideTile, tile_size
from her2edge_quantize.gate.unlabelled import folder_tiles, listed_tiles, rows_of
from her2edge_quantize.options import Report
from her2edge_training.cohort.screen import usable
from her2edge_training.cohort.tile_list import UNLABELLED, TileList, TileListError, TileRecord
from her2edge_training.recipe import Recipe

ReadTiles = Callable[[Path, tuple[str, ...]], TileList]
_LARGEST = 1 << 30  # bytes
_FORM = "a list of slides or of tiles, a CSV in UTF-8"
_SPARE = 1.25  # times the tiles asked for, since some slides have too little tissue
_FEWEST = 10  # of a slide: a slide label takes as many


def read_gate_data(
    paths: Sequence[Path], recipe: Recipe, tiles: int, report: Report, read: ReadTiles = TileList.read
) -> tuple[TileRecord, ...]:
    """Records of all paths together; the label is empty where there is none.

    tiles: as many are asked for, evenly of all slides.

    Raises MissingInputError for what is not there, TileListError for a list that cannot be used, CohortError,
    TileError for another scale or a tile that cannot be read, and what SlideReader raises.
    """
    slides: list[CohortSlide] = []
    records: list[TileRecord] = []
    for path in paths:
        if look(path, "gate data: slides, folders or lists", SlideReadError) == "folder":
            inside = look_into(path, recipe.tile_px).slides
            slides += [CohortSlide(slide, row=0) for slide in inside]
            records += [] if inside else folder_tiles(path, recipe)
        elif path.suffix.lower() == ".csv":
            listed = _listed(path, recipe, read)
            slides += [one for one in listed if isinstance(one, CohortSlide)]
            records += [one for one in listed if isinstance(one, TileRecord)]
        elif is_slide(path, recipe.tile_px) or look(path, "a slide", SlideReadError) is None:
            slides.append(CohortSlide(path, row=0))
        else:
            raise TileListError(
                f"{shown(path.name)}: found one tile, expected slides, folders of slides or tiles, or a list "
                "(.csv): name its folder"
            )
    each = max(_FEWEST, math.ceil(_SPARE * tiles / max(1, len(slides))))
    for slide in slides:
        found = list(_of_slide(slide, recipe, each))
        report(f"{slide.name}: {len(found)} tissue tiles for the gate")
        records += found
    unnamed = len({one.slide for one in records if not one.patient})
    if unnamed:
        report(f"{unnamed} slides of the gate name no patient: each counts as one (a list names them)")
    _refuse_twice(records)
    return tuple(records)


def _listed(path: Path, recipe: Recipe, read: ReadTiles) -> Sequence[CohortSlide | TileRecord]:
    """A list of slides has no column `tile`; a list of tiles without labels nothing in `label`."""
    sheet = read_sheet(read_input(path, _LARGEST, _FORM, TileListError), path.name, _FORM, TileListError)
    if "tile" not in sheet.names:
        return list(read_cohort(path))
    rows = list(rows_of(sheet))
    if any(row.get("label") for _line, row in rows):
        kept, _background = usable(read(path, (*recipe.labels, UNLABELLED)).records, recipe)
        return kept
    return listed_tiles(path, sheet.header, rows, recipe)


def _of_slide(slide: CohortSlide, recipe: Recipe, at_most: int) -> Iterator[SlideTile]:
    """Tiles wholly on the slide with tissue enough, at places in the order that its fingerprint fixes."""
    tissue, size = TissueFilter(share=recipe.max_background_share), tile_size(recipe)
    with SlideReader(slide.path, mpp=slide.mpp) as reader:
        grid = reader.grid(size)
        order = RandomOrder(reader.fingerprint, grid.columns, grid.rows).places.tolist()
        places = [(place % grid.columns, place // grid.columns) for place in order]
        found = 0
        for place, tile in zip(places, reader.tiles(size, places), strict=True):
            if found == at_most:
                return
            if isinstance(tile, UnreadableTile) or tile.valid != (recipe.tile_px, recipe.tile_px):
                continue
            if not tissue.is_background(tile.pixels):
                found += 1
                yield SlideTile.of(slide, reader, tile, place, recipe)


def _refuse_twice(records: Sequence[TileRecord]) -> None:
    seen: dict[str, str] = {}
    for record in records:
        if record.sha256 in seen:
            raise TileListError(
                f"found the same tile twice for the gate, as {shown(seen[record.sha256])} and "
                f"{shown(record.tile)}: name each slide and each tile once"
            )
        if record.sha256:
            seen[record.sha256] = record.tile
