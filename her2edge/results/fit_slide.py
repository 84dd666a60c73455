"""fit_slide: one stain fit for a whole slide, from a fixed sample of its tiles, before the first result."""

from __future__ import annotations

import logging

from her2edge.slide import SlideReader
from her2edge.stain.accumulator import StainAccumulator, add_checked
from her2edge.stain.fit import StainFit
from her2edge.tile import UnreadableTile, check_inside
from her2edge.tissue import TissueFilter, measure_light

_log = logging.getLogger("her2edge")

SAMPLE_TILES = 512
TILE_PX = 256


def fit_slide(
    slide: SlideReader,
    profile: str = "torchstain",
    tissue: TissueFilter | None = None,
    *,
    sample_tiles: int = SAMPLE_TILES,
) -> StainFit:
    """Stains of an open slide, from at most `sample_tiles` tiles spread evenly over it, at its own scale.

    Background by the tissue rule (None: the paper's) is left out, and so is what cannot be read, with a
    warning. The same slide gives the same fit. Raises StainError where the sample holds no two usable stains.
    """
    collected, _ = collect_stain(slide, profile, tissue, sample_tiles)
    return collected.freeze()


def collect_stain(
    slide: SlideReader, profile: str, tissue: TissueFilter | None = None, sample_tiles: int = SAMPLE_TILES
) -> tuple[StainAccumulator, int]:
    """The sample of `fit_slide`, and how many of its tiles cannot be read, which is warned of."""
    rule = tissue or TissueFilter()
    collected = StainAccumulator(profile)
    unreadable = 0
    for tile in slide.sample(TILE_PX, sample_tiles):
        if isinstance(tile, UnreadableTile):
            unreadable += 1
            continue
        inside = check_inside(tile.pixels, tile.valid)
        if measure_light(rule, inside).background < rule.share:
            add_checked(collected, inside)
    if unreadable:
        _log.warning("%s: %d tile(s) of the stain sample cannot be read", slide.name, unreadable)
    return collected, unreadable
