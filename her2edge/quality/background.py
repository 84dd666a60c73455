"""What a tile shows that the paper's grey rule calls background."""

from __future__ import annotations

from her2edge.tile import Background
from her2edge.tissue import TissueFilter

TISSUE_SEEN = 0.05  # of a tile: what is not glass below it may be dust or noise
_RULE = TissueFilter()


def background_kind(glass_fraction: float, background_share: float, rule: TissueFilter = _RULE) -> Background:
    """What a background tile shows, by its shares of glass and of bright pixels, 0..1 of its valid part.

    `glass` where less than 5 % is anything else; `pale` where the rule would keep the tile if its bright
    tissue were dark; else `too_little`. Both shares are those of `her2edge.tissue.Light`.
    """
    if 1 - glass_fraction < TISSUE_SEEN:
        return Background.GLASS
    pale = max(0.0, background_share - glass_fraction)
    return Background.PALE if background_share - pale < rule.share else Background.TOO_LITTLE
