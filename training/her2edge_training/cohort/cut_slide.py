"""The tiles of one slide, and the overview of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2edge.answer.order import order_of_places
from her2edge.files import ensure_folder, write_bytes
from her2edge.regions.inside import Place
from her2edge.results.folder import slide_folder
from her2edge.slide import Grid, SlideReader, encode_png
from her2edge.text import from_disk
from her2edge.tile import Tile, UnreadableTile
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.cut_report import SkippedTile, SlideReport, slide_report
from her2edge_training.cohort.judge import Fate, Judged, Tally, judge
from her2edge_training.cohort.overview import draw_overview
from her2edge_training.cohort.plan import Cutting, Origin, SlidePlan
from her2edge_training.cohort.tile_list import TileRecord

OVERVIEWS = "overviews"  # a folder beside tiles/

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Cut:
    """What was cut of a slide, or of images that count as one."""

    records: tuple[TileRecord, ...]
    report: SlideReport


def cut_slide(
    plan: SlidePlan,
    cutting: Cutting,
    labels: Sequence[str],
    out: Path,
    origin: Origin,
    step: Callable[[], None],
) -> Cut:
    """Write the slide's tiles under OUT/tiles and OUT/overviews/<slide>.png.

    labels: of all classes, in their order. origin: where the plan has none. step is called after each tile.
    Raises OutputError where files cannot be written, SlideReadError where the slide cannot be opened.
    """
    tissue = TissueFilter(share=cutting.max_background_share)
    folder = slide_folder(out / "tiles", plan.name, plan.fingerprint)
    ensure_folder(folder, inside=out)
    records: list[TileRecord] = []
    unreadable: list[SkippedTile] = []
    tally = Tally()
    with SlideReader(plan.path, mpp=plan.mpp) as slide:
        chosen = _order(plan, cutting, slide.grid(cutting.size))
        tiles = slide.tiles(cutting.size, ((place.column, place.row) for place in chosen))
        for place, tile in zip(chosen, tiles, strict=True):
            if len(records) == cutting.tiles_per_slide:
                break
            step()
            if isinstance(tile, UnreadableTile):
                unreadable.append(SkippedTile(tile.x, tile.y, tile.error))
                tally.add(place.label, Judged(Fate.UNREADABLE))
                continue
            judged = judge(tile, tissue)
            tally.add(place.label, judged)
            if judged.fate is not Fate.CUT:
                continue
            path, digest = _write_tile(folder, tile)
            records.append(
                TileRecord(
                    tile=from_disk(path.relative_to(out).as_posix()),
                    folder=out,
                    slide=plan.name.strip(),
                    patient=(plan.origin.patient or origin.patient).strip(),
                    site=(plan.origin.site or origin.site).strip(),
                    label=place.label,
                    x=tile.x,
                    y=tile.y,
                    mpp=cutting.mpp,
                    tissue_fraction=1 - judged.background,
                    sha256=digest,
                    label_from=plan.label_from,
                )
            )
        for _ in range(len(chosen) - len(tally.fates)):
            step()
        picture = draw_overview(slide, plan, cutting, labels, chosen, tally)
    overview = slide_folder(out / OVERVIEWS, plan.name, plan.fingerprint)
    ensure_folder(overview.parent, inside=out)
    write_bytes(overview.with_name(f"{overview.name}.png"), encode_png(picture))
    if unreadable:
        _log.warning(
            "%s: %d of %d tiles cannot be decoded and are skipped, the first: %s",
            plan.name, len(unreadable), len(chosen), unreadable[0].error,
        )  # fmt: skip
    records.sort(key=lambda record: (record.y or 0.0, record.x or 0.0))
    return Cut(tuple(records), slide_report(plan, labels, unreadable, tally))


def _order(plan: SlidePlan, cutting: Cutting, grid: Grid) -> Sequence[Place]:
    """Row by row; in a random order, which the slide's content fixes, where not all may be needed."""
    chosen = plan.places.chosen
    if cutting.tiles_per_slide is None:
        return chosen
    by_number = {place.row * grid.columns + place.column: place for place in chosen}
    numbers = order_of_places(
        plan.fingerprint, grid.columns, grid.rows, np.fromiter(by_number, np.int64, len(by_number))
    )
    return [by_number[int(number)] for number in numbers]


def _write_tile(folder: Path, tile: Tile) -> tuple[Path, str]:
    """The tile as PNG, named after its corner; its path and SHA-256."""
    data = encode_png(tile.pixels)
    path = folder / f"{tile.x:.0f}_{tile.y:.0f}.png"
    write_bytes(path, data)
    return path, hashlib.sha256(data).hexdigest()
