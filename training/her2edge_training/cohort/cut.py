"""Annotated slides become labelled tiles on disk and the manifest that lists them.

    OUT/tiles/<slide>-<8 hex digits of its fingerprint>/<x>_<y>.png   lossless, corner in level-0 pixels
    OUT/tiles.json                                                    what was cut, left out and repaired
    OUT/manifest.csv                                                  columns of `manifest.COLUMNS`; last

Pixels are the slide's, not normalised: training normalises tiles when it reads them, with the SDK's own
normaliser (`stains.stain_normalizer`), so that one set of tiles serves every stain profile and the edge sees
the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from her2edge.errors import OutputError, SlideReadError, TileError
from her2edge.files import ensure_folder, write_bytes
from her2edge.results.folder import slide_folder
from her2edge.slide import SlideReader, encode_png
from her2edge.tables import defused
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE, UnreadableTile
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.plan import Cutting, Plan, SlidePlan
from her2edge_training.cohort.tile_list import TileRecord, read_tile_list, write_tile_list

_log = logging.getLogger("her2edge")

_BLACK = TissueFilter(low=0, high=20)  # no stain lets so little light through: padding, or nothing scanned


@dataclass(frozen=True)
class ClassCount:
    """Tiles of one label: `inside` regions, and how many of them the tissue filter left."""

    label: str
    inside: int
    tissue: int


@dataclass(frozen=True)
class Unreadable:
    """A tile that could not be decoded and was skipped; x, y its corner, level-0 pixels."""

    x: float
    y: float
    error: str


class SlideReport(msgspec.Struct, frozen=True):
    """What became of one slide's regions and tiles; see `Annotation` and `Places` for the counts.

    mpp: of level 0, in whose pixels all corners are. black: tiles in regions left out because padding, with
    the background, is most of them.
    """

    slide: str
    mpp: float | None = msgspec.field(name="um_per_pixel")
    fingerprint: str
    annotation: str
    regions: int
    repaired: int
    left_out: int
    outside: int
    two_labels: int
    classes: tuple[ClassCount, ...]
    unreadable: tuple[Unreadable, ...]
    black: int = 0


@dataclass(frozen=True)
class CutReport:
    """tiles.json."""

    cutting: Cutting
    slides: tuple[SlideReport, ...]
    notice: str = RESEARCH_USE


def cut_tiles(
    plan: Plan,
    out: Path,
    *,
    patient: str = "",
    site: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> CutReport:
    """Write the tiles of `plan` under `out`, list them in its manifest and return the report of these slides.

    A folder with tiles cut alike is added to, so that slides of several patients and sites come together. A
    region that cannot be decoded is skipped and named in the report. The same input writes the same bytes.
    progress(done, total) is called after each tile.
    Raises OutputError where files cannot be written, where `out` holds one of the slides or tiles of other
    making; SlideReadError or TileError where not one tile is left, and then there is no new manifest.
    """
    before, records = _what_is_there(plan, out)
    reports: list[SlideReport] = []
    found: list[TileRecord] = []
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(plan))

    for slide in plan.slides:
        new, unreadable, black = _cut_slide(slide, plan.cutting, out, (patient, site), step)
        reports.append(_report(slide, plan.labels, new, unreadable, black))
        found += new
    if not found:
        _refuse_none(reports)
    names = {report.slide for report in reports}
    kept = tuple(report for report in before if report.slide not in names)
    whole = CutReport(plan.cutting, (*kept, *reports))
    write_bytes(out / "tiles.json", msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    write_tile_list(out / "manifest.csv", (*records, *found))
    return CutReport(plan.cutting, tuple(reports))


def _what_is_there(plan: Plan, out: Path) -> tuple[Sequence[SlideReport], Sequence[TileRecord]]:
    """Reports and rows of an earlier run in `out`; raises OutputError where the new do not go with them."""
    ensure_folder(out)
    manifest, report = out / "manifest.csv", out / "tiles.json"
    if not manifest.exists():
        return (), ()
    try:
        before = msgspec.json.decode(report.read_bytes(), type=CutReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{shown(out.name)}: found a manifest.csv without its tiles.json, tiles of other making: "
            "choose a new --out"
        ) from error
    if before.cutting != plan.cutting:
        raise OutputError(
            f"{shown(out.name)}: found tiles cut with {before.cutting}, expected {plan.cutting}: "
            "choose a new --out"
        )
    records = read_tile_list(manifest, plan.labels)
    listed = {record.slide for record in records}
    there = {report.fingerprint for report in before.slides if report.slide in listed}
    again = [slide.name for slide in plan.slides if _cell(slide.name) in listed or slide.fingerprint in there]
    if again:
        raise OutputError(
            f"{shown(out.name)}: found tiles of {', '.join(again)} already: leave these out, or "
            "choose a new --out"
        )
    return before.slides, records


def _cut_slide(
    plan: SlidePlan, cutting: Cutting, out: Path, origin: tuple[str, str], step: Callable[[], None]
) -> tuple[list[TileRecord], list[Unreadable], int]:
    tissue = TissueFilter(share=cutting.max_background_share)
    folder = slide_folder(out / "tiles", plan.name, plan.fingerprint)
    ensure_folder(folder)
    patient, site = (_cell(text) for text in origin)
    records: list[TileRecord] = []
    unreadable: list[Unreadable] = []
    black = 0
    chosen = plan.places.chosen
    with SlideReader(plan.path, mpp=plan.mpp) as slide:
        tiles = slide.tiles(cutting.size, ((place.column, place.row) for place in chosen))
        for place, tile in zip(chosen, tiles, strict=True):
            step()
            if isinstance(tile, UnreadableTile):
                unreadable.append(Unreadable(tile.x, tile.y, tile.error))
                continue
            background = tissue.background_share(tile.pixels)
            if background + _BLACK.background_share(tile.pixels) >= tissue.share:
                black += background < tissue.share
                continue
            data = encode_png(tile.pixels)
            path = folder / f"{tile.x:.0f}_{tile.y:.0f}.png"
            write_bytes(path, data)
            records.append(
                TileRecord(
                    tile=path.relative_to(out).as_posix(),
                    folder=out,
                    slide=_cell(plan.name),
                    patient=patient,
                    site=site,
                    label=place.label,
                    x=tile.x,
                    y=tile.y,
                    mpp=cutting.mpp,
                    tissue_fraction=1 - background,
                    sha256=hashlib.sha256(data).hexdigest(),
                )
            )
    if unreadable:
        _log.warning(
            "%s: %d of %d tiles cannot be decoded and are skipped, the first: %s",
            plan.name, len(unreadable), len(chosen), unreadable[0].error,
        )  # fmt: skip
    return records, unreadable, black


def _report(
    plan: SlidePlan,
    labels: Sequence[str],
    records: Sequence[TileRecord],
    unreadable: Sequence[Unreadable],
    black: int,
) -> SlideReport:
    inside = Counter(place.label for place in plan.places.chosen)
    tissue = Counter(record.label for record in records)
    return SlideReport(
        slide=_cell(plan.name),
        mpp=plan.mpp,
        fingerprint=plan.fingerprint,
        annotation=plan.annotation.file,
        regions=len(plan.annotation.regions),
        repaired=plan.annotation.repaired,
        left_out=plan.annotation.left_out,
        outside=plan.places.outside,
        two_labels=plan.places.two_labels,
        classes=tuple(ClassCount(label, inside[label], tissue[label]) for label in labels),
        unreadable=tuple(unreadable),
        black=black,
    )


def _refuse_none(reports: Sequence[SlideReport]) -> None:
    lost = sum(len(report.unreadable) for report in reports)
    inside = sum(count.inside for report in reports for count in report.classes)
    if lost == inside:
        raise SlideReadError(f"none of the {inside} tiles in regions can be decoded: copy the slide again")
    raise TileError(
        f"all {inside - lost} tiles in regions are background or black, expected tissue: check that each "
        "annotation belongs to its slide"
    )


def _cell(text: str) -> str:
    """As it comes back from the manifest, and no formula for a spreadsheet."""
    return defused(text.strip())
