"""Tile results made by hand, for answers of slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from her2edge import LABELS, Outcome, TileResult

SIDE = 512.0


def tile(
    place: int,
    columns: int,
    label: int | None = None,
    outcome: Outcome = Outcome.CLASSIFIED,
    sure: float = 1.0,
    labels: tuple[str, ...] = LABELS,
    **fields: Any,
) -> TileResult:
    """The result of a place of a grid: a label's index, as sure as that; pooled unless said otherwise."""
    row, column = divmod(int(place), columns)
    at = ("s", column * SIDE, row * SIDE, (SIDE, SIDE))
    if label is None:
        return TileResult(*at, Outcome.BACKGROUND if outcome is Outcome.CLASSIFIED else outcome, **fields)
    chances = np.full(len(labels), (1 - sure) / (len(labels) - 1), np.float32)
    chances[label] = sure
    fields = {"pooled": True, "novelty": 0.5} | fields
    return TileResult(*at, outcome, probabilities=chances, label=labels[label], confidence=sure, **fields)


def slide(counts: Sequence[int], columns: int = 20, **fields: Any) -> list[TileResult]:
    """counts: tiles of each label, laid row by row."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return [tile(place, columns, int(label), **fields) for place, label in enumerate(labels)]
