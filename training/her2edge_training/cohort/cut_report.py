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
from her2edge.tile import RESEARCH_USE, Background
from her2edge_training.cohort.plan import Cutting, SlidePlan
from her2edge_training.cohort.tile_list import TileRecord

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


@dataclass(frozen=True)
class Tally:
    """What is seen while tiles are cut: background by (label, kind), tissue by (label, code), black tiles."""

    background: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    black: list[str] = field(default_factory=list)

    def of(self, label: str, inside: int, tissue: int) -> ClassCount:
        glass, pale, too_little = (self.background[label, kind.value] for kind in Background)
        codes = {code.value: self.codes[label, code.value] for code in Code if self.codes[label, code.value]}
        return ClassCount(
            label, inside, tissue, codes.pop(Code.NO_STAIN.value, 0), glass, pale, too_little, codes
        )


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
    unreadable: tuple[SkippedTile, ...]
    excluded: int = 0
    stray_rings: int = 0
    other_plane: int = 0
    black: int = 0


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
            f"{path.parent.name}: found a tile list without its {path.name}, tiles of other making "
            f"({error}): choose a new --out"
        ) from error


def slide_report(
    plan: SlidePlan,
    labels: Sequence[str],
    records: Sequence[TileRecord],
    unreadable: Sequence[SkippedTile],
    tally: Tally,
) -> SlideReport:
    inside = Counter(place.label for place in plan.places.chosen)
    tissue = Counter(record.label for record in records)
    return SlideReport(
        slide=defused(plan.name.strip()),
        mpp=plan.mpp,
        fingerprint=plan.fingerprint,
        annotation=plan.annotation.file,
        regions=len(plan.annotation.regions),
        repaired=plan.annotation.repaired,
        left_out=plan.annotation.left_out,
        outside=plan.places.outside,
        two_labels=plan.places.two_labels,
        classes=tuple(tally.of(label, inside[label], tissue[label]) for label in labels),
        unreadable=tuple(unreadable),
        excluded=plan.places.excluded,
        stray_rings=plan.annotation.stray_rings,
        other_plane=plan.annotation.other_plane,
        black=len(tally.black),
    )
