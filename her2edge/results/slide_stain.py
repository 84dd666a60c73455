"""The stain fit of a whole slide, and how a slide without one is read."""

from __future__ import annotations

import logging

from her2edge.classifier import TileClassifier
from her2edge.errors import StainError
from her2edge.model.file import Model
from her2edge.results.fit_slide import collect_stain
from her2edge.results.journal import SlideStain
from her2edge.slide import SlideReader
from her2edge.stain import StainMode

_log = logging.getLogger("her2edge")


def find_slide_stain(slide: SlideReader, model: Model) -> SlideStain:
    """The fit of a fixed sample of the slide's tiles, or why there is none."""
    collected, unreadable = collect_stain(slide, model.manifest.stain.profile, model.tissue_filter)
    try:
        return SlideStain(collected.freeze(), unreadable=unreadable)
    except StainError as error:
        return SlideStain(reason=str(error), unreadable=unreadable)


def with_slide_stain(classifier: TileClassifier, stain: SlideStain, slide_name: str) -> TileClassifier:
    """The classifier with the slide's own fit; without normalisation, and a warning, where there is none."""
    if stain.fit is not None:
        return classifier.with_stain(stain.fit)
    _log.warning("%s: %s; its tiles keep their own colours", slide_name, stain.reason)
    return classifier.with_stain(StainMode.OFF)
