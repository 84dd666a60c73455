"""Annotated slides become labelled tiles on disk and the list of them.

    OUT/tiles/<slide>-<16 hex digits of its fingerprint>/<x>_<y>.png   lossless, corner in level-0 pixels
    OUT/tiles.json                                                     what was cut, left out and repaired
    OUT/cohort.csv                                                     columns of `tile_list.COLUMNS`; last

Pixels are the slide's, not normalised: training normalises tiles when it reads them, with the SDK's own
normaliser (`stains.stain_normalizer`), so that one set of tiles serves every stain profile and the edge sees
the same.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from her2edge.alone import alone_in
from her2edge.errors import OutputError, SlideReadError, TileError
from her2edge.files import ensure_folder, write_bytes, write_json
from her2edge.quality import Code, QualityLimits, background_kind, measure_quality
from her2edge.results.folder import slide_folder
from her2edge.slide import SlideReader, encode_png
from her2edge.tables import restored
from her2edge.text import from_disk
from her2edge.tile import Tile, UnreadableTile
from her2edge.tissue import TissueFilter, measure_light
from her2edge_training.cohort.cut_report import NAME as REPORT
from her2edge_training.cohort.cut_report import (
    CutReport,
    SkippedTile,
    SlideReport,
    Tally,
    read_cut_report,
    slide_report,
)
from her2edge_training.cohort.plan import Cutting, Origin, Plan, SlidePlan
from her2edge_training.cohort.tile_list import NAME, TileList, TileRecord, refuse_former_list, write_tile_list

_log = logging.getLogger("her2edge")

_LIMITS = QualityLimits()  # a model has its own; there is none yet
_BLACK = TissueFilter(low=0, high=20)  # no stain lets so little light through: padding, or nothing scanned


def cut_tiles(
    plan: Plan,
    out: Path,
    origin: Origin | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CutReport:
    """Write the tiles of `plan` under `out`, list them in cohort.csv and return the report of these slides.

    A folder with tiles cut alike is added to, so that slides of several patients and sites come together. A
    region that cannot be decoded is skipped and named in the report. The same input writes the same bytes.
    origin: of slides whose plan has none.
    progress(done, total) is called after each tile.
    Raises TakenError where another command is at work in `out`; OutputError where files cannot be written,
    where `out` holds one of the slides or tiles of other making; SlideReadError or TileError where not one
    tile is left, and then there is no new list.
    """
    with alone_in(out):
        return _cut(plan, out, origin or Origin(), progress)


def _cut(plan: Plan, out: Path, origin: Origin, progress: Callable[[int, int], None] | None) -> CutReport:
    before, records = _what_is_there(plan, out)
    reports: list[SlideReport] = []
    added: list[TileRecord] = []
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(plan))

    for slide in plan.slides:
        new, unreadable, tally = _cut_slide(slide, plan.cutting, out, origin, step)
        reports.append(slide_report(slide, plan.labels, new, unreadable, tally))
        added += new
    if not added:
        _refuse_none(reports)
    names = {report.slide for report in reports}
    kept = tuple(report for report in before if report.slide not in names)
    write_json(out / REPORT, CutReport(plan.cutting, (*kept, *reports)))
    write_tile_list(out / NAME, (*records, *added))
    return CutReport(plan.cutting, tuple(reports))


def _what_is_there(plan: Plan, out: Path) -> tuple[Sequence[SlideReport], Sequence[TileRecord]]:
    """Reports and rows of an earlier run in `out`; raises OutputError where the new do not go with them."""
    refuse_former_list(out)
    if not os.path.exists(out / NAME):  # noqa: PTH110 - Path's raises for a name too long
        return (), ()
    before = read_cut_report(out / REPORT)
    if before.cutting != plan.cutting:
        raise OutputError(
            f"{out.name}: found tiles cut with {before.cutting}, expected {plan.cutting}: choose a new --out"
        )
    records = TileList.read(out / NAME, plan.labels).records
    listed = {record.slide for record in records}
    there = {report.fingerprint for report in before.slides if restored(report.slide) in listed}
    again = [s.name for s in plan.slides if s.name.strip() in listed or s.fingerprint in there]
    if again:
        raise OutputError(
            f"{out.name}: found tiles of {', '.join(again)} already: leave these out, or choose a new --out"
        )
    return before.slides, records


def _cut_slide(
    plan: SlidePlan, cutting: Cutting, out: Path, origin: Origin, step: Callable[[], None]
) -> tuple[list[TileRecord], list[SkippedTile], Tally]:
    tissue = TissueFilter(share=cutting.max_background_share)
    folder = slide_folder(out / "tiles", plan.name, plan.fingerprint)
    ensure_folder(folder, inside=out)
    records: list[TileRecord] = []
    unreadable: list[SkippedTile] = []
    tally = Tally()
    chosen = plan.places.chosen
    with SlideReader(plan.path, mpp=plan.mpp) as slide:
        tiles = slide.tiles(cutting.size, ((place.column, place.row) for place in chosen))
        for place, tile in zip(chosen, tiles, strict=True):
            step()
            if isinstance(tile, UnreadableTile):
                unreadable.append(SkippedTile(tile.x, tile.y, tile.error))
                continue
            background = _background_unless_left_out(tile, place.label, tissue, tally)
            if background is None:
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
                    tissue_fraction=1 - background,
                    sha256=digest,
                )
            )
    if unreadable:
        _log.warning(
            "%s: %d of %d tiles cannot be decoded and are skipped, the first: %s",
            plan.name, len(unreadable), len(chosen), unreadable[0].error,
        )  # fmt: skip
    return records, unreadable, tally


def _background_unless_left_out(tile: Tile, label: str, tissue: TissueFilter, tally: Tally) -> float | None:
    """The tile's share of background, 0..1; None where it is background, black or without two stains."""
    rows, columns = tile.valid or tile.pixels.shape[:2]
    light = measure_light(tissue, tile.pixels[:rows, :columns])
    background, glass = light.background, light.glass
    if background >= tissue.share:
        tally.background[label, background_kind(glass, background, tissue).value] += 1
        return None
    if background + _BLACK.background_share(tile.pixels, tile.valid) >= tissue.share:
        tally.black.append(label)
        return None
    codes = measure_quality(tile.pixels, (rows, columns), _LIMITS, light).codes
    if Code.NO_STAIN in codes:
        tally.codes[label, Code.NO_STAIN.value] += 1
        return None
    tally.codes.update((label, code) for code in codes)
    return background


def _write_tile(folder: Path, tile: Tile) -> tuple[Path, str]:
    """The tile as PNG, named after its corner; its path and SHA-256."""
    data = encode_png(tile.pixels)
    path = folder / f"{tile.x:.0f}_{tile.y:.0f}.png"
    write_bytes(path, data)
    return path, hashlib.sha256(data).hexdigest()


def _refuse_none(reports: Sequence[SlideReport]) -> None:
    lost = sum(len(report.unreadable) for report in reports)
    inside = sum(count.inside for report in reports for count in report.classes)
    if lost == inside:
        raise SlideReadError(f"none of the {inside} tiles in regions can be decoded: copy the slide again")
    raise TileError(
        f"all {inside - lost} tiles in regions are background, black or without two stains, expected tissue: "
        "check that each annotation belongs to its slide"
    )
