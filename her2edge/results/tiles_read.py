"""tiles_read: how a classifier reads the tiles of a slide, as an answer and a calibration keep it."""

from __future__ import annotations

from her2edge.classifier import TileClassifier
from her2edge.model.protocol import Places, TilesRead, fits_sha256
from her2edge.regions import RegionPlaces
from her2edge.slide import SlideReader
from her2edge.version import RELEASE


def tiles_read(
    classifier: TileClassifier, slide: SlideReader, regions: RegionPlaces | None = None
) -> TilesRead:
    """What `answer_slide(read=)` takes, for all tiles of an open slide or those inside regions.

    classifier: as it is before the fit of a slide is made, where its mode is `slide`.
    """
    places: Places = "whole" if regions is None else "regions"
    return TilesRead(
        places="tiles" if slide.is_folder else places,
        classes=() if regions is None else tuple(sorted(regions.classes)),
        stain=classifier.stain_mode.value,
        fits_sha256=fits_sha256(classifier.stain),
        scale=slide.mpp_over_stated,
        precision=classifier.use.precision,
        tested=classifier.tested is not None,
        release=RELEASE,
    )
