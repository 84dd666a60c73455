"""How strong the stains of a slide are: what drift of scanner or laboratory shows in first."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import msgspec
import numpy as np

from her2edge.tile import TileResult


class StainStrength(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the tiles that vote and have a stain fit of their own, optical density (natural log): the
    99th percentile of each stain's concentration, as `StainFit.max_concentration`. tiles: how many, 1 or
    more.
    """

    tiles: int
    haematoxylin: float
    eosin: float


def measure_strength(results: Iterable[TileResult]) -> StainStrength | None:
    """Read results once; None where no tile has a fit of its own. 16 bytes are kept of a tile."""
    kept = array("d")
    for result in results:
        if result.pooled and result.stain_strength is not None:
            kept.extend(result.stain_strength)
    if not kept:
        return None
    pairs = np.asarray(kept, np.float64).reshape(-1, 2)
    haematoxylin, eosin = np.median(pairs, axis=0).tolist()
    return StainStrength(tiles=len(pairs), haematoxylin=haematoxylin, eosin=eosin)
