"""fit_tiles: one stain fit of loose tiles, where there is no slide to take a sample of."""

from __future__ import annotations

from collections.abc import Iterable

from her2edge.stain.accumulator import StainAccumulator
from her2edge.stain.fit import StainFit
from her2edge.tile import Pixels
from her2edge.tissue import TissueFilter


def fit_tiles(
    tiles: Iterable[Pixels], profile: str = "torchstain", tissue: TissueFilter | None = None
) -> StainFit:
    """Stains of (h, w, 3) uint8 RGB tiles of one slide; their order does not matter.

    Background by the tissue rule (None: the paper's) is left out. For a whole slide see `fit_slide`.
    Raises TileError for what is no such tile, StainError where the tiles hold no two usable stains.
    """
    rule = tissue or TissueFilter()
    collected = StainAccumulator(profile)
    for pixels in tiles:
        if not rule.is_background(pixels):
            collected.update(pixels)
    return collected.freeze()
