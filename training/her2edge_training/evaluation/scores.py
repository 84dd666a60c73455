"""Scores of held-out tiles: how good, how sure of it, how well calibrated. Metrics are scikit-learn's.

Tiles of one slide are not independent: `intervals` says what an interval of them takes them for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.probability import log_softmax, softmax
from her2edge_training.evaluation.intervals import share_interval
from her2edge_training.run.predictions import Predictions

BINS = 15
FEWEST_GROUPS = 10  # patients or slides; with fewer, an interval of their tiles is not stated
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """One class against the rest; auc is None where the part lacks the class or holds no other."""

    label: str
    tiles: int
    recall: float
    precision: float
    one_vs_rest_accuracy: float
    auc: float | None


@dataclass(frozen=True)
class Evaluation:
    """What a run, or all folds of a protocol together, say of tiles they were not trained on.

    interval: 95 %, of the accuracy, tiles of a group taken as dependent; None below FEWEST_GROUPS groups.
    confusion: actual in rows.
    ece: expected calibration error of the probabilities as they are; ece_calibrated: with the temperature
    that the validation part asks for.
    """

    tiles: int
    slides: int
    groups: int
    accuracy: float
    interval: tuple[float, float] | None
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    temperature: float
    ece: float
    ece_calibrated: float


def evaluate(test: Predictions, temperature: float | Floats) -> Evaluation:
    """Score one part. temperature: one number, or one for each tile where folds have their own."""
    from sklearn.metrics import confusion_matrix

    predicted = test.logits.argmax(axis=1)
    matrix = confusion_matrix(test.actual, predicted, labels=list(range(len(test.labels))))
    plain, calibrated = softmax(test.logits, 1.0), softmax(test.logits, temperature)
    return Evaluation(
        tiles=len(test.actual),
        slides=len(np.unique(test.slides)),
        groups=len(np.unique(test.groups)),
        accuracy=float(np.mean(predicted == test.actual)),
        interval=_interval(predicted == test.actual, test.groups),
        classes=tuple(_class_score(test, predicted, plain, c) for c in range(len(test.labels))),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
        temperature=float(np.median(temperature)),
        ece=calibration_error(plain, test.actual),
        ece_calibrated=calibration_error(calibrated, test.actual),
    )


def _class_score(test: Predictions, predicted: NDArray[Any], chances: Floats, index: int) -> ClassScore:
    from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

    actual, named = test.actual == index, predicted == index
    both = 0 < np.count_nonzero(actual) < len(actual)
    return ClassScore(
        label=test.labels[index],
        tiles=int(np.count_nonzero(actual)),
        recall=float(recall_score(actual, named, zero_division=0.0)),  # pyright: ignore[reportArgumentType]
        precision=float(precision_score(actual, named, zero_division=0.0)),  # pyright: ignore[reportArgumentType]
        one_vs_rest_accuracy=float(accuracy_score(actual, named)),
        auc=float(roc_auc_score(actual, chances[:, index])) if both else None,
    )


def fit_temperature(validation: Predictions) -> float:
    """The temperature with the least log loss on the validation part (Guo et al. 2017, arXiv 1706.04599).

    Its targets are Platt's (1999, "Probabilistic Outputs for Support Vector Machines", 2.2), for more classes
    than two: (n + 1) / (n + classes) for a class seen n times, not 1. Where every tile is named rightly, the
    least loss against 1 is at temperature 0 and every confidence 1, which n tiles cannot show.
    """
    from scipy.optimize import minimize_scalar

    targets = _targets(validation.actual, len(validation.labels))

    def loss(log_temperature: float) -> float:
        logs = log_softmax(validation.logits, np.exp(log_temperature))
        return -float((targets * logs).sum(axis=1).mean())

    best: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return float(np.exp(best.x))


def _targets(actual: NDArray[np.int64], classes: int) -> Floats:
    """(tiles, classes): what each tile's probabilities should be, rows summing to 1."""
    seen = np.bincount(actual, minlength=classes)[actual][:, np.newaxis]
    return np.where(np.arange(classes) == actual[:, np.newaxis], seen + 1, 1) / (seen + classes)


def calibration_bins(chances: Floats, actual: NDArray[np.int64]) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, tiles) of each of 15 equal bins of confidence that holds any."""
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == actual
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (float(confidence[which == b].mean()), float(right[which == b].mean()), int((which == b).sum()))
        for b in range(BINS)
        if (which == b).any()
    ]


def calibration_error(chances: Floats, actual: NDArray[np.int64]) -> float:
    """Expected calibration error, 0..1: mean |confidence - accuracy| over bins, weighted by tiles."""
    bins = calibration_bins(chances, actual)
    return sum(n * abs(confidence - accuracy) for confidence, accuracy, n in bins) / len(actual)


def _interval(right: NDArray[np.bool_], groups: NDArray[np.str_]) -> tuple[float, float] | None:
    return share_interval(right, groups) if len(np.unique(groups)) >= FEWEST_GROUPS else None
