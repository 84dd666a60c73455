"""What the slide answers of held-out slides say, beside their tiles: the class of the largest mean.

Held-out tiles are tissue that was labelled, in no grid: nothing is left out of the vote, no interval of a
share can be stated, and no slide is "not assessable". The score of a slide is that of its tiles: a weak
label, of the whole slide as a rule. Intervals are Jeffreys' (Brown, Cai & DasGupta 2001), of as many
witnesses as there are patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.beta import beta_quantile
from her2edge.answer.pooling import mean_probabilities
from her2edge.probability import probabilities
from her2edge_training.run.predictions import Predictions

Interval = tuple[float, float]
_TAIL = 0.025


@dataclass(frozen=True)
class SlideClass:
    """Slides of one score. right: whose answer it is. interval: 95 %, of their share; None: no slide."""

    label: str
    slides: int
    right: int
    interval: Interval | None


@dataclass(frozen=True)
class SlideEvaluation:
    """Answers of held-out slides against their scores.

    slides, patients: that are scored; mixed: slides left out, whose tiles have more than one label.
    right: slides whose answer is their score. interval: 95 %, of that share, patients counted once; None
    without a slide. confusion: slides, score in rows. shared: slides of which training had other tiles: their
    answers are no answers of new patients.
    """

    slides: int
    patients: int
    mixed: int
    right: int
    interval: Interval | None
    classes: tuple[SlideClass, ...]
    confusion: tuple[tuple[int, ...], ...]
    shared: bool

    @property
    def agreement(self) -> float | None:
        """Share of slides whose answer is their score, 0..1; None without a slide."""
        return self.right / self.slides if self.slides else None


def evaluate_slides(
    test: Predictions, temperatures: NDArray[np.float64] | float, *, shared: bool
) -> SlideEvaluation:
    """Pool the tiles of each slide as `answer_slide` pools them.

    temperatures: (tiles,) or one for all, as the model file will have it: it decides whose mean is largest.
    shared: the protocol splits slides.
    """
    count = len(test.labels)
    chances = probabilities(test.logits, temperatures)
    score, answer, groups = [], [], []
    mixed = 0
    for slide in np.unique(test.slides):
        own = test.slides == slide
        if len(np.unique(test.actual[own])) > 1:
            mixed += 1
            continue
        score.append(int(test.actual[own][0]))
        answer.append(int(np.argmax(mean_probabilities(chances[own]))))
        groups.append(str(test.groups[own][0]))
    scores, answers = np.array(score, np.int64), np.array(answer, np.int64)
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (scores, answers), 1)
    right, patients = scores == answers, np.array(groups)
    return SlideEvaluation(
        slides=len(scores),
        patients=len(set(groups)),
        mixed=mixed,
        right=int(right.sum()),
        interval=_interval(right, patients),
        classes=tuple(
            _class(label, right[scores == k], patients[scores == k]) for k, label in enumerate(test.labels)
        ),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        shared=shared,
    )


def _class(label: str, right: NDArray[np.bool_], patients: NDArray[np.str_]) -> SlideClass:
    return SlideClass(label, len(right), int(right.sum()), _interval(right, patients))


def _interval(right: NDArray[np.bool_], patients: NDArray[np.str_]) -> Interval | None:
    """Jeffreys' interval of a share, of as many witnesses as there are patients; 0 and 1 keep their end."""
    if not len(right):
        return None
    share, n = float(right.mean()), len(np.unique(patients))
    a, b = share * n + 0.5, (1 - share) * n + 0.5
    return (
        0.0 if share == 0 else beta_quantile(_TAIL, a, b),
        1.0 if share == 1 else beta_quantile(1 - _TAIL, a, b),
    )
