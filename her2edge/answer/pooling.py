"""From the probabilities of tiles to those of the slide: their mean, or a rule fitted on other slides."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2edge.answer.answer import Status
from her2edge.answer.martingale import in_grains
from her2edge.errors import OptionError
from her2edge.model.slide_records import Pooling
from her2edge.probability import softmax

NOT_ASSESSABLE = Status.NOT_ASSESSABLE.value
MIN_TISSUE_TILES = 10
OFFSET = 1e-4  # added to a probability before its logarithm: 0 has one


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


def top_tenth_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """(n, labels) of tiles -> (labels,): for each label, the mean of the tenth of tiles, rounded up, where
    its probability is highest; 0 without tiles. The same in any order of the tiles."""
    rows = np.asarray(probabilities)
    if not len(rows):
        return np.zeros(rows.shape[-1])
    count = -(-len(rows) // 10)
    highest = np.partition(rows, len(rows) - count, axis=0)[len(rows) - count :]
    return np.asarray(in_grains(highest).sum(axis=0) / count)


def linear_features(means: ArrayLike, top_tenths: ArrayLike) -> NDArray[np.float64]:
    """What linear pooling weighs: (..., labels) twice -> (..., 2 labels), log(v + 1e-4), the means first."""
    both = np.concatenate([np.asarray(means, np.float64), np.asarray(top_tenths, np.float64)], axis=-1)
    return np.asarray(np.log(both + OFFSET))


def slide_probabilities(
    means: NDArray[np.float64], top_tenths: NDArray[np.float64], pooling: Pooling | None
) -> NDArray[np.float64]:
    """The slide's probabilities, (labels,), of a slide with tiles that vote; None: their mean."""
    if pooling is None or pooling.kind == "mean":
        return means
    logits = np.asarray(pooling.coefficients) @ linear_features(means, top_tenths)
    return softmax(logits + np.asarray(pooling.intercepts), 1.0)


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
