"""What is cut from which slides: all that can be refused is refused here, before a tile is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from her2edge.cohort import CohortSlide
from her2edge.errors import AnnotationError, MissingInputError, OptionError, SlideError, SlideReadError
from her2edge.files import look
from her2edge.regions.annotations import Annotation, read_annotation
from her2edge.regions.classes import EXCLUDE, IGNORE, Table, label_of, meaning
from her2edge.regions.exports import find_exports
from her2edge.regions.inside import Places, find_places
from her2edge.slide import SlideReader, TileSize
from her2edge.text import percent
from her2edge.tissue import TissueFilter
from her2edge_training.classes import check_table
from her2edge_training.cohort.tile_list import LABELS

# What says the label of tiles: a person's regions; the slide's score in a list, or the class folder that it
# lies in, which are weak labels; the class folder of tile images.
LabelFrom = Literal["regions", "score", "slide_folder", "tile_folder"]


@dataclass(frozen=True)
class Cutting:
    """How tiles are cut.

    tile_px:              side, pixels.
    mpp:                  scale of the tiles.
    min_inside:           least share of a tile's area inside regions of one label; 1 means wholly inside.
    max_background_share: tiles with at least this share of background are left out (`TissueFilter`).
    """

    tile_px: int = 512
    mpp: float = 0.25
    min_inside: float = 1.0
    max_background_share: float = 0.60

    def __post_init__(self) -> None:
        TileSize(self.tile_px, self.mpp)
        TissueFilter(share=self.max_background_share)
        if not 0 < self.min_inside <= 1:
            raise OptionError(
                f"found min_inside={self.min_inside}, expected a share above 0 and at most 1, wholly inside"
            )

    @property
    def size(self) -> TileSize:
        """What a grid needs to know."""
        return TileSize(self.tile_px, self.mpp)


@dataclass(frozen=True)
class Origin:
    """Whom and where a slide is from; empty where it is not known."""

    patient: str = ""
    site: str = ""


@dataclass(frozen=True, eq=False)
class SlidePlan:
    """A slide that can be read, its annotation and the tiles to cut. mpp: um per pixel of level 0; origin: as
    a list of slides has it; annotation: None where the whole slide is the region."""

    path: Path
    mpp: float | None
    name: str
    fingerprint: str
    annotation: Annotation | None
    places: Places
    origin: Origin = Origin()
    label_from: LabelFrom = "regions"


@dataclass(frozen=True)
class TileImage:
    """A tile that a lab has cut itself. name: its path from the folder that was given."""

    path: Path
    name: str
    label: str


@dataclass(frozen=True, eq=False)
class ImagesPlan:
    """Tile images that count as one slide. mpp: their scale, um per pixel."""

    name: str
    mpp: float
    images: tuple[TileImage, ...]
    origin: Origin

    @property
    def fingerprint(self) -> str:
        """Of the name: pixels that are no slide's have no other."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, eq=False)
class Plan:
    """Slides in the order given, then tile images; labels in their order. notes: what a person should know
    before tiles are cut, a line each."""

    cutting: Cutting
    labels: tuple[str, ...]
    slides: tuple[SlidePlan, ...]
    images: tuple[ImagesPlan, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many tiles lie in regions, before the tissue filter."""
        in_slides = sum(len(slide.places.chosen) for slide in self.slides)
        return in_slides + sum(len(group.images) for group in self.images)


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


def check_there(slides: Sequence[Path]) -> None:
    """Raise OptionError for no slide, MissingInputError for slides that are not there."""
    if not slides:
        raise OptionError("found no slide, expected one or more")
    absent = [slide.name for slide in slides if look(slide, "a slide", SlideReadError) is None]
    if absent:
        raise MissingInputError(f"no such slide: {', '.join(absent)}: check the path")


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


def refuse_folder(slide: SlideReader) -> None:
    """Raise SlideError for a folder of tiles, which has no grid."""
    if slide.is_folder:
        raise SlideError(f"{slide.name}: found a folder, expected a slide or an image file: name each")


def check_different(plans: Sequence[SlidePlan]) -> None:
    """The same slide under two names would stand on both sides of a split; the same name for two, on none."""
    names: set[str] = set()
    contents: dict[str, str] = {}
    for plan in plans:
        if plan.name in names:
            raise OptionError(f"found two slides named {plan.name}, expected different names: rename one")
        names.add(plan.name)
        first = contents.setdefault(plan.fingerprint, plan.name)
        if first != plan.name:
            raise OptionError(f"found the same slide twice, as {first} and {plan.name}: name it once")


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
