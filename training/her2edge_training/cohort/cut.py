"""Slides with labels become labelled tiles on disk and the list of them.

    OUT/tiles/<slide>-<16 hex digits of its fingerprint>/<x>_<y>.png   lossless, corner in level-0 pixels
    OUT/overviews/<slide>-<16 hex digits>.png                          regions, and what became of each tile
    OUT/contact/<label>.png                                            some of the tiles of each class
    OUT/tiles.json                                                     what was cut, left out and repaired
    OUT/cohort.csv                                                     columns of `tile_list.COLUMNS`; last

Pixels are the slide's, not normalised: training normalises tiles when it reads them, with the SDK's own
normaliser (`stains.stain_normalizer`), so that one set of tiles serves every stain profile and the edge sees
the same. Images that were tiles already are copied as they are, see `cut_images`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from her2edge.alone import alone_in
from her2edge.errors import SlideReadError, TileError
from her2edge.files import write_json
from her2edge_training.cohort.contact_sheets import write_contact_sheets
from her2edge_training.cohort.cut_images import cut_images
from her2edge_training.cohort.cut_report import NAME as REPORT
from her2edge_training.cohort.cut_report import CutReport, SlideReport
from her2edge_training.cohort.cut_slide import Cut, cut_slide
from her2edge_training.cohort.former_tiles import FormerTiles
from her2edge_training.cohort.plan import Origin, Plan, TileImage
from her2edge_training.cohort.tile_list import NAME, write_tile_list


def cut_tiles(
    plan: Plan,
    out: Path,
    origin: Origin | None = None,
    *,
    redo: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CutReport:
    """Write the tiles of `plan` under `out`, list them in cohort.csv and return the report of these slides.

    A folder with tiles cut alike is added to, so that slides of several patients and sites come together. A
    region that cannot be decoded is skipped and named in the report. The same input writes the same bytes.
    origin: of slides whose plan has none. redo: tiles of these slides that are there give way to the new,
    which keep patient and site where neither plan nor origin states them.
    progress(done, total) is called after each tile.
    Raises TakenError where another command is at work in `out`; OutputError where files cannot be written,
    where `out` holds one of the slides (for `redo`, one not) or tiles of other making; SlideReadError or
    TileError where not one tile is left, and then there is no new list.
    """
    with alone_in(out):
        return _cut(plan, out, origin or Origin(), redo, progress)


def _cut(
    plan: Plan, out: Path, origin: Origin, redo: bool, progress: Callable[[int, int], None] | None
) -> CutReport:
    former = FormerTiles.read(plan, out, redo=redo)
    cuts: list[Cut] = []
    seen: dict[str, TileImage] = {}
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(plan))

    for slide in plan.slides:
        own = former.origin_of(slide, origin)
        cuts.append(cut_slide(slide, plan.cutting, plan.labels, out, own, step))
    cuts += [cut_images(group, plan.cutting, plan.labels, out, seen, step) for group in plan.images]
    if not any(cut.records for cut in cuts):
        _refuse_none([cut.report for cut in cuts])
    records, reports = former.joined(cuts)
    write_contact_sheets(records, plan.labels, out)
    write_json(out / REPORT, CutReport(plan.cutting, reports))
    write_tile_list(out / NAME, records)
    former.remove(records, reports)
    return CutReport(plan.cutting, tuple(cut.report for cut in cuts))


def _refuse_none(reports: Sequence[SlideReport]) -> None:
    lost = sum(len(report.unreadable) for report in reports)
    inside = sum(count.inside for report in reports for count in report.classes)
    if lost == inside:
        raise SlideReadError(f"none of the {inside} tiles in regions can be decoded: copy the slide again")
    raise TileError(
        f"all {inside - lost} tiles in regions are background, black or without two stains, expected tissue: "
        "check that each annotation belongs to its slide"
    )
