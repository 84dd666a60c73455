"""Slides with regions drawn in QuPath: all that can be refused is refused here, before a tile is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from her2edge.cohort import CohortSlide
from her2edge.errors import AnnotationError, OptionError
from her2edge.files import look
from her2edge.regions.annotations import Annotation, read_annotation
from her2edge.regions.classes import EXCLUDE, IGNORE, Table, label_of, meaning
from her2edge.regions.exports import find_exports
from her2edge.regions.inside import find_places
from her2edge.slide import SlideReader
from her2edge.text import percent
from her2edge_training.classes import check_table
from her2edge_training.cohort.plan import (
    Cutting,
    Origin,
    Plan,
    SlidePlan,
    check_different,
    check_there,
    refuse_folder,
)
from her2edge_training.cohort.tile_list import LABELS


def plan_tiles(
    slides: Sequence[Path | CohortSlide],
    annotations: Path,
    cutting: Cutting,
    classes: Table,
    *,
    labels: tuple[str, ...] = LABELS,
    mpp: float | None = None,
) -> Plan:
    """Find each slide's annotation and the tiles in its regions.

    slides:      files, or rows of a list, which may state patient, site and mpp.
    annotations: the GeoJSON file of the one slide, or a folder with one for each, see `find_exports`.
    classes:     (class, label) pairs, see `her2edge_training.classes`.
    mpp:         um per pixel of level 0 of the files; of a list's slides only where neither the row nor the
                 file states it.
    Raises MissingInputError for a slide or annotation that is not there, AnnotationError (see
    `read_annotation`; also for classes that are not in the table, all of them at once, and where no tile
    lies in a region), OptionError for a slide given twice or a file that could be either of two slides', and
    what SlideReader raises.
    """
    check_table(classes, labels)
    rows = [slide if isinstance(slide, CohortSlide) else CohortSlide(slide, row=0) for slide in slides]
    files = _annotation_files([row.path for row in rows], annotations)
    read = [read_annotation(file) for file in files]
    _check_classes(read, classes, labels)
    table = label_of(classes)
    plans: list[SlidePlan] = []
    for row, annotation in zip(rows, read, strict=True):
        own = row.mpp if row.row else mpp
        with SlideReader(row.path, mpp=own, default_mpp=mpp) as slide:
            refuse_folder(slide)
            places = find_places(annotation, table, slide.grid(cutting.size), slide.name, cutting.min_inside)
            origin = Origin(row.patient, row.site)
            plans.append(
                SlidePlan(row.path, slide.mpp, slide.name, slide.fingerprint, annotation, places, origin)
            )
    check_different(plans)
    plan = Plan(cutting, labels, tuple(plans))
    if not len(plan):
        raise AnnotationError(_nothing_inside(plan))
    return plan


def _annotation_files(slides: Sequence[Path], annotations: Path) -> list[Path]:
    check_there(slides)
    if look(annotations, "annotations, a file or a folder of them", AnnotationError) != "folder":
        if len(slides) > 1:
            raise OptionError(
                f"found one annotation file for {len(slides)} slides, expected a folder with "
                "<name of the slide>.geojson for each"
            )
        return [annotations]
    return find_exports(slides, annotations)


def _check_classes(annotations: Sequence[Annotation], classes: Table, labels: tuple[str, ...]) -> None:
    table = label_of(classes)
    unknown: dict[str, list[str]] = {}
    for annotation in annotations:
        for name in sorted({one.name for one in annotation.regions if meaning(one.name, table) is None}):
            unknown.setdefault(name, []).append(annotation.file)
    if unknown:
        names = "; ".join(f"{name!r} in {', '.join(files)}" for name, files in sorted(unknown.items()))
        raise AnnotationError(
            f"found unknown classes: {names}; expected classes that stand for {', '.join(labels)}: name "
            f'each, e.g. --label "{next(iter(sorted(unknown)))}={labels[-1]}", or ={EXCLUDE} to cut '
            f"it out of every region, or ={IGNORE} where a region around it may label what is in it"
        )


def _nothing_inside(plan: Plan) -> str:
    cutting = plan.cutting
    clash = sum(slide.places.two_labels for slide in plan.slides)
    taken = sum(slide.places.excluded for slide in plan.slides)
    if taken:
        return (
            f"found {taken + clash} tile(s) in regions, of which excluded regions take {taken}"
            + (f" and {clash} lie in regions of two labels" if clash else "")
            + ": draw excluded regions smaller, or give their classes another meaning"
        )
    if clash:
        return f"found {clash} tile(s), all in regions of two labels: draw regions that do not overlap"
    side = cutting.tile_px * cutting.mpp
    share = "wholly" if cutting.min_inside == 1 else f"{percent(cutting.min_inside)}"
    files = ", ".join(slide.annotation.file for slide in plan.slides if slide.annotation)
    return (
        f"found no tile of {cutting.tile_px} px ({side:.4g} um) {share} inside a region of {files}: draw "
        "larger regions, or lower --min-inside (min_inside=)"
    )
