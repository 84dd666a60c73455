"""fit_slide: one stain fit for a whole slide, from a fixed sample of its tiles, before the first result."""

from __future__ import annotations

from her2edge.slide import SlideReader
from her2edge.stain.accumulator import StainAccumulator
from her2edge.stain.fit import StainFit
from her2edge.tile import Tile
from her2edge.tissue import TissueFilter

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

    Background by the tissue rule (None: the paper's) and what cannot be read is left out. The same slide
    gives the same fit. Raises StainError where the sample holds no two usable stains.
    """
    rule = tissue or TissueFilter()
    collected = StainAccumulator(profile)
    for tile in slide.sample(TILE_PX, sample_tiles):
        if isinstance(tile, Tile) and not rule.is_background(tile.pixels, tile.valid):
            collected.update(tile.pixels, tile.valid)
    return collected.freeze()
