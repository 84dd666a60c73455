"""What a tile says of its slide: whether it votes, and if not, why. One rule for every answer."""

from __future__ import annotations

import math

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
    return NOVEL if far_from_training(result) else UNFITTED


def far_from_training(result: TileResult) -> bool | None:
    """Whether a classified tile is above the novelty limit, its stains fitted or not.

    None where that is not asked: a quality code keeps it out, or its novelty was not measured.
    """
    if result.novelty is None or keeping_out(result.quality):
        return None
    return result.novelty > 1


def is_classified(result: TileResult, labels: tuple[str, ...]) -> bool:
    """Whether a tile has probabilities.

    Raises OptionError where they are not of these labels, or no finite numbers.
    """
    if result.outcome is not Outcome.CLASSIFIED:
        return False
    found = None if result.probabilities is None else result.probabilities.shape
    if found != (len(labels),):
        raise OptionError(
            f"found a classified tile with probabilities {found}, expected ({len(labels)},) for the labels "
            f"{', '.join(labels)}: the results are of another model"
        )
    if result.probabilities is not None and not all(map(math.isfinite, result.probabilities.tolist())):
        raise OptionError(
            f"found a classified tile at x={result.x:g}, y={result.y:g} with probabilities that are not "
            f"finite numbers, expected 0..1: classify it again"
        )
    return True
