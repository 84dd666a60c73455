"""What a tile says of its slide: whether it votes, and if not, why. One rule for every answer."""

from __future__ import annotations

from her2edge.errors import OptionError
from her2edge.quality import keeping_out
from her2edge.tile import Outcome, TileResult

NOVEL = "novel"
UNFITTED = "unfitted"


def kept_out(result: TileResult) -> str | None:
    """Why a classified tile does not vote: its first quality code, "novel", or "unfitted"; None: it votes.

    unfitted: nothing is wrong with it but that its stains could not be fitted.
    """
    if result.pooled:
        return None
    if codes := keeping_out(result.quality):
        return codes[0]
    return NOVEL if result.novelty is not None and result.novelty > 1 else UNFITTED


def is_classified(result: TileResult, labels: tuple[str, ...]) -> bool:
    """Whether a tile has probabilities; raises OptionError where they are not of these labels."""
    if result.outcome is not Outcome.CLASSIFIED:
        return False
    found = None if result.probabilities is None else result.probabilities.shape
    if found != (len(labels),):
        raise OptionError(
            f"found a classified tile with probabilities {found}, expected ({len(labels)},) for the labels "
            f"{', '.join(labels)}: the results are of another model"
        )
    return True
