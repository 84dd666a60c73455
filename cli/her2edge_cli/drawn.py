"""Regions drawn for slides: one file for the one slide, or a folder with one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from her2edge.cohort import CohortSlide
from her2edge.errors import AnnotationError, MissingInputError, OptionError
from her2edge.files import look
from her2edge.regions import Regions
from her2edge.regions.exports import find_export


@dataclass(frozen=True)
class Drawn:
    """place: --region, a file or a folder of them. classes: --class. slides: all that are to be read."""

    place: Path
    classes: tuple[str, ...]
    slides: tuple[Path, ...]
    folder: bool

    @classmethod
    def of(cls, place: Path | None, classes: Sequence[str], slides: Sequence[CohortSlide]) -> Drawn | None:
        """None without --region. Raises OptionError for one file and several slides; reads no tile."""
        if place is None:
            if classes:
                raise click.UsageError(f"found --class {classes[0]} without --region, which it needs: add it")
            return None
        kind = look(place, "annotations, a file or a folder of them", AnnotationError)
        if kind is None:
            raise MissingInputError(
                f"{place.name}: no such file or folder of regions: export them from QuPath"
            )
        folder = kind == "folder"
        if not folder and len(slides) > 1:
            raise OptionError(
                f"found one file of regions for {len(slides)} slides, expected a folder with "
                "<name of the slide>.geojson for each"
            )
        return cls(place, tuple(classes), tuple(slide.path for slide in slides), folder)

    def regions(self, slide: Path) -> Regions:
        """Those of one slide. Raises MissingInputError where the folder has none, OptionError where it is not
        clear which."""
        file = find_export(slide, self.slides, self.place) if self.folder else self.place
        return Regions(file, self.classes)
