"""The slide-level answer: counts, shares, a majority label, or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from her2edge.errors import OptionError
from her2edge.tile import LABELS, Outcome, TileResult

MIN_TISSUE_TILES = 10
NOT_ASSESSABLE = "not_assessable"


@dataclass(frozen=True)
class SlideSummary:
    """What the tiles of one slide say together. Research use only.

    label:       the class of most classified tiles (ties: the first in label order), or `not_assessable`.
    reason:      why there is no label; None where there is one.
    outcomes:    tiles by outcome, every outcome named; they add up to `tiles`.
    classes:     classified tiles by label.
    shares:      the same as shares, 0..1; all 0 where nothing was classified.
    mean_probabilities: mean over classified tiles, by label; all 0 where nothing was classified.
    """

    label: str
    reason: str | None
    tiles: int
    outcomes: dict[str, int]
    classes: dict[str, int]
    shares: dict[str, float]
    mean_probabilities: dict[str, float]
    min_tissue_tiles: int

    @property
    def assessable(self) -> bool:
        """Whether there is a slide-level label."""
        return self.reason is None


def summarize(results: Iterable[TileResult], min_tissue_tiles: int = MIN_TISSUE_TILES) -> SlideSummary:
    """Read results once, in constant memory, and sum them up.

    Fewer classified tiles than `min_tissue_tiles` (1 or more, else OptionError): `not_assessable`.
    """
    if min_tissue_tiles < 1:
        raise OptionError(f"found min_tissue_tiles={min_tissue_tiles}, expected 1 or more")
    outcomes: Counter[Outcome] = Counter()
    classes: Counter[str] = Counter()
    total = np.zeros(len(LABELS))
    for result in results:
        outcomes[result.outcome] += 1
        if result.label is not None and result.probabilities is not None:
            classes[result.label] += 1
            total += result.probabilities
    classified = outcomes[Outcome.CLASSIFIED]
    reason = None
    if classified < min_tissue_tiles:
        reason = f"found {classified} tissue tiles, expected at least {min_tissue_tiles}"
    return SlideSummary(
        label=NOT_ASSESSABLE if reason else max(LABELS, key=lambda label: classes[label]),
        reason=reason,
        tiles=outcomes.total(),
        outcomes={outcome.value: outcomes[outcome] for outcome in Outcome},
        classes={label: classes[label] for label in LABELS},
        shares={label: classes[label] / max(1, classified) for label in LABELS},
        mean_probabilities={
            label: float(p) for label, p in zip(LABELS, total / max(1, classified), strict=True)
        },
        min_tissue_tiles=min_tissue_tiles,
    )
