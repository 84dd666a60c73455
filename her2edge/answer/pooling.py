"""From the probabilities of tiles to those of the slide: their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2edge.answer.answer import Status
from her2edge.answer.martingale import in_grains
from her2edge.errors import OptionError

NOT_ASSESSABLE = Status.NOT_ASSESSABLE.value
MIN_TISSUE_TILES = 10


def check_fewest(count: object, name: str = "min_tissue_tiles") -> None:
    """Raises OptionError unless it is a whole number, 1 or more."""
    if not (isinstance(count, int) and not isinstance(count, bool) and count >= 1):
        raise OptionError(f"found {name}={count!r}, expected a whole number, 1 or more")


def mean_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """(n, labels) of tiles -> (labels,): the mean; 0 without tiles.

    The same in any order of the tiles, of up to `martingale.EXACT` of them.
    """
    rows = np.asarray(probabilities)
    return np.asarray(in_grains(rows).sum(axis=0) / max(1, len(rows)))


def pooled_label(
    probabilities: ArrayLike, labels: tuple[str, ...], min_tissue_tiles: int = MIN_TISSUE_TILES
) -> str:
    """The label of the largest mean probability (ties: the first), or "not_assessable" with too few tiles.

    probabilities: (n, labels) of the tiles that vote. Raises OptionError for another shape.
    """
    rows = np.asarray(probabilities)
    if rows.ndim != 2 or rows.shape[1] != len(labels):
        raise OptionError(f"found probabilities {rows.shape}, expected (n, {len(labels)})")
    if len(rows) < min_tissue_tiles:
        return NOT_ASSESSABLE
    return labels[int(np.argmax(mean_probabilities(rows)))]
