"""What is cut from which slides, and what every plan refuses before a tile is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from her2edge.errors import MissingInputError, OptionError, SlideError, SlideReadError
from her2edge.files import look
from her2edge.regions.annotations import Annotation
from her2edge.regions.inside import Places
from her2edge.slide import SlideReader, TileSize
from her2edge.text import shown
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.label_from import LabelFrom

_MANY = 12  # names in a message


@dataclass(frozen=True)
class Cutting:
    """How tiles are cut.

    tile_px:              side, pixels.
    mpp:                  scale of the tiles.
    min_inside:           least share of a tile's area inside regions of one label; 1 means wholly inside.
    max_background_share: tiles with at least this share of background are left out (`TissueFilter`).
    tiles_per_slide:      at most this many of a slide, in a random order fixed by its content; None: all.
    """

    tile_px: int = 512
    mpp: float = 0.25
    min_inside: float = 1.0
    max_background_share: float = 0.60
    tiles_per_slide: int | None = None

    def __post_init__(self) -> None:
        TileSize(self.tile_px, self.mpp)
        TissueFilter(share=self.max_background_share)
        if not 0 < self.min_inside <= 1:
            raise OptionError(
                f"found min_inside={self.min_inside}, expected a share above 0 and at most 1, wholly inside"
            )

        if self.tiles_per_slide is not None and self.tiles_per_slide < 1:
            raise OptionError(
                f"found tiles_per_slide={self.tiles_per_slide}, expected a whole number, 1 or more"
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

    def only(self, names: Sequence[str]) -> Plan:
        """Of the slides, and the tile images that count as one slide, with these names.

        Raises MissingInputError where one is not there.
        """
        every: tuple[SlidePlan | ImagesPlan, ...] = (*self.slides, *self.images)
        known = [one.name.strip() for one in every]
        absent = [name for name in names if name not in known]
        if absent:
            some = ", ".join(map(shown, known[:_MANY])) + ", ..." * (len(known) > _MANY)
            raise MissingInputError(
                f"found no slide or patient {', '.join(map(shown, absent))}, expected some of {some}: check "
                "the names"
            )
        return replace(
            self,
            slides=tuple(slide for slide in self.slides if slide.name.strip() in names),
            images=tuple(group for group in self.images if group.name.strip() in names),
        )

    def __len__(self) -> int:
        """How many tiles lie in regions, before the tissue filter."""
        in_slides = sum(len(slide.places.chosen) for slide in self.slides)
        return in_slides + sum(len(group.images) for group in self.images)


def check_there(slides: Sequence[Path]) -> None:
    """Raise OptionError for no slide, MissingInputError for slides that are not there."""
    if not slides:
        raise OptionError("found no slide, expected one or more")
    absent = [slide.name for slide in slides if look(slide, "a slide", SlideReadError) is None]
    if absent:
        raise MissingInputError(f"no such slide: {', '.join(absent)}: check the path")


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
