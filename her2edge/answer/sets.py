"""Prediction sets: which labels a slide's probabilities do not exclude, by the calibration slides.

Mondrian conformal prediction (Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World): label k
is in the set when 1 - p_k is at most the ceil((n_k + 1)(1 - alpha))-th smallest of the n_k scores 1 - p_k of
calibration slides that are k; always, where there are fewer scores than that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

FEWEST_OF_A_CLASS = 9  # patients; with fewer every set holds the class, at alpha = 0.10


class Calibration(Protocol):
    """Slides that prediction sets go by; `her2edge.model` has it where a model was calibrated."""

    @property
    def scores(self) -> Mapping[str, Sequence[float]]: ...
    @property
    def alpha(self) -> float: ...
    @property
    def sites(self) -> Sequence[str]: ...
    @property
    def scanners(self) -> Sequence[str]: ...


def enough(calibration: Calibration | None, labels: Sequence[str]) -> bool:
    """Whether there are sets at all: nine patients or more of every label."""
    if calibration is None:
        return False
    return all(len(calibration.scores.get(label, ())) >= FEWEST_OF_A_CLASS for label in labels)


def prediction_set(
    probabilities: Mapping[str, float], scores: Mapping[str, Sequence[float]], alpha: float
) -> tuple[str, ...]:
    """The labels, in the order of `probabilities`, that are not excluded. scores: by label, in any order."""
    return tuple(label for label, p in probabilities.items() if 1 - p <= _threshold(scores[label], alpha))


def _threshold(scores: Sequence[float], alpha: float) -> float:
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)  # 10 * 0.9 is nine, not a little more
    return sorted(scores)[rank - 1] if rank <= len(scores) else math.inf
