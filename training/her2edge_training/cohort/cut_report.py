"""tiles.json: what was cut of which slide, left out and repaired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from her2edge.errors import MissingInputError, OutputError
from her2edge.files import read_json
from her2edge.quality import Code
from her2edge.tables import defused
from her2edge.tile import RESEARCH_USE
from her2edge_training.cohort.judge import Fate, Tally
from her2edge_training.cohort.label_from import LabelFrom
from her2edge_training.cohort.plan import Cutting, ImagesPlan, SlidePlan

NAME = "tiles.json"
_LARGEST = 1 << 28  # bytes; a slide takes some hundreds


@dataclass(frozen=True)
class ClassCount:
    """Tiles of one label: `inside` regions, and how many of them are `tissue` and were cut.

    Not cut: no_stain, tissue in which no two stains are to be told apart, and background of three kinds, see
    `her2edge.tile.Background`. quality: how many of those cut have which other code, see `her2edge.quality`.
    """

    label: str
    inside: int
    tissue: int
    no_stain: int = 0
    glass: int = 0
    pale: int = 0
    too_little: int = 0
    quality: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SkippedTile:
    """A tile that could not be decoded and was skipped; x, y its corner, level-0 pixels."""

    x: float
    y: float
    error: str


def _counts(label: str, inside: int, tally: Tally) -> ClassCount:
    fates = Counter(fate for own, fate in tally.fates if own == label)
    codes = {code.value: tally.codes[label, code.value] for code in Code if tally.codes[label, code.value]}
    return ClassCount(
        label,
        inside,
        fates[Fate.CUT],
        fates[Fate.NO_STAIN],
        fates[Fate.GLASS],
        fates[Fate.PALE],
        fates[Fate.TOO_LITTLE],
        codes,
    )


class SlideReport(msgspec.Struct, frozen=True):
    """What became of one slide's regions and tiles; see `Annotation` and `Places` for the counts.

    mpp: of level 0, in whose pixels all corners are. black: tiles in regions left out because padding, with
    the background, is most of them. label_from: what says the label, see `LabelFrom`. annotation is
    empty where no regions were drawn. passed_over: tiles in regions at which nobody looked, since there were
    `Cutting.tiles_per_slide` already.
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
    unreadable: tuple[SkippedTile, ...]
    excluded: int = 0
    stray_rings: int = 0
    other_plane: int = 0
    black: int = 0
    label_from: LabelFrom = "regions"
    passed_over: int = 0


@dataclass(frozen=True)
class CutReport:
    """tiles.json."""

    cutting: Cutting
    slides: tuple[SlideReport, ...]
    notice: str = RESEARCH_USE


def read_cut_report(path: Path) -> CutReport:
    """Read tiles.json; raises OutputError where tiles cannot be added to what it says."""
    try:
        return read_json(path, CutReport, limit=_LARGEST, expected="what `tiles` wrote", wrong=OutputError)
    except (OutputError, MissingInputError) as error:
        raise OutputError(
            f"{path.parent.name}: found a tile list without its {path.name}, so the tiles were made in "
            f"another way ({error}): choose a new --out"
        ) from error


def slide_report(
    plan: SlidePlan, labels: Sequence[str], unreadable: Sequence[SkippedTile], tally: Tally
) -> SlideReport:
    """The report of a slide whose tiles have been cut; labels: of all classes, in their order."""
    inside = Counter(place.label for place in plan.places.chosen)
    drawn = plan.annotation
    return SlideReport(
        slide=defused(plan.name.strip()),
        mpp=plan.mpp,
        fingerprint=plan.fingerprint,
        annotation=drawn.file if drawn else "",
        regions=len(drawn.regions) if drawn else 0,
        repaired=drawn.repaired if drawn else 0,
        left_out=drawn.left_out if drawn else 0,
        outside=plan.places.outside,
        two_labels=plan.places.two_labels,
        classes=tuple(_counts(label, inside[label], tally) for label in labels),
        unreadable=tuple(unreadable),
        excluded=plan.places.excluded,
        stray_rings=drawn.stray_rings if drawn else 0,
        other_plane=drawn.other_plane if drawn else 0,
        black=_black(tally),
        label_from=plan.label_from,
        passed_over=len(plan.places.chosen) - len(tally.fates),
    )


def images_report(
    plan: ImagesPlan, labels: Sequence[str], unreadable: Sequence[SkippedTile], tally: Tally
) -> SlideReport:
    """The same of tile images that a lab has cut itself; their corners are not known."""
    inside = Counter(image.label for image in plan.images)
    return SlideReport(
        slide=defused(plan.name.strip()),
        mpp=plan.mpp,
        fingerprint=plan.fingerprint,
        annotation="",
        regions=0,
        repaired=0,
        left_out=0,
        outside=0,
        two_labels=0,
        classes=tuple(_counts(label, inside[label], tally) for label in labels),
        unreadable=tuple(unreadable),
        black=_black(tally),
        label_from="tile_folder",
    )


def _black(tally: Tally) -> int:
    return sum(fate is Fate.BLACK for _, fate in tally.fates)
