"""What a run achieved, by tile. Slides, not tiles, are the sample: both numbers stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_training.cohort.dataset import TileSequence


@dataclass(frozen=True)
class Score:
    """Tile-level result of one part.

    accuracy:  share of tiles whose most probable class is right, 0..1.
    tiles, slides, patients: numbers; patients counts the slides that name no patient as one each.
    per_class: tiles of each actual class, in label order; recall the same, share found.
    confusion: confusion[a][p] tiles of actual class a predicted as p.
    """

    accuracy: float
    tiles: int
    slides: int
    patients: int
    per_class: tuple[int, ...]
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


def score(sequence: TileSequence, logits: NDArray[np.float32], classes: int) -> Score:
    """Count a sequence's (n, classes) logits, in its order; ties take the lowest class."""
    predicted = np.argmax(logits, axis=1)
    slides = {record.slide for record in sequence.records}
    patients = {record.group for record in sequence.records}
    return count(sequence.labels, predicted, classes, len(slides), len(patients))


def count(
    actual: NDArray[Any] | Sequence[int],
    predicted: NDArray[Any] | Sequence[int],
    classes: int,
    slides: int,
    patients: int,
) -> Score:
    """Score of class indices (n,) against class indices (n,)."""
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(actual, predicted, labels=list(range(classes)))
    rows = matrix.sum(axis=1)
    return Score(
        accuracy=float(np.trace(matrix) / max(1, matrix.sum())),
        tiles=int(matrix.sum()),
        slides=slides,
        patients=patients,
        per_class=tuple(int(n) for n in rows),
        recall=tuple(float(matrix[i, i] / rows[i]) if rows[i] else 0.0 for i in range(classes)),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )
