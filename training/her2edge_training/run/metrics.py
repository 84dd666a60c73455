"""What a run achieved, by tile. Slides, not tiles, are the sample: both numbers stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.run.records import Score


def score(records: Sequence[TileRecord], logits: NDArray[np.float32], labels: Sequence[str]) -> Score:
    """Count (n, classes) logits of as many tiles, in their order; ties take the lowest class."""
    actual = [labels.index(record.label) for record in records]
    slides = {record.slide for record in records}
    patients = {record.group for record in records}
    return count(actual, np.argmax(logits, axis=1), len(labels), len(slides), len(patients))


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
