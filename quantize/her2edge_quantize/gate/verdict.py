"""The gate: may a converted model stand in for the trained network? Logits in, verdict out.

The upper end of each 95 % interval decides, not the share that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.answer import MIN_TISSUE_TILES, NOT_ASSESSABLE, pooled_label
from her2edge.errors import ModelError, OptionError
from her2edge.model.records import Limits, Verdict
from her2edge.probability import probabilities
from her2edge.text import percent
from her2edge_quantize.gate.intervals import drop_interval, share_interval
from her2edge_training.run.predictions import Predictions

Logits = NDArray[np.float32]


class GateRefusedError(ModelError):
    """A converted model is further from float32 than the limits allow, or cannot show that it is not."""


def judge(
    reference: Predictions, logits: Logits, temperature: float, limits: Limits | None = None
) -> Verdict:
    """Hold a model's (n, 3) float32 logits against the float32 network's, tile by tile.

    reference:   float32 logits, actual labels, slides and patients of the n tiles.
    temperature: the model's; both models' probabilities are compared at it.
    Raises OptionError for arrays that do not belong together.
    """
    if logits.shape != reference.logits.shape or not len(logits):
        raise OptionError(
            f"found logits {logits.shape} and {reference.logits.shape}, expected n rows, 1 or more, of both"
        )
    before, after = (probabilities(rows, temperature) for rows in (reference.logits, logits))
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    right_before, right_after = was == reference.actual, now == reference.actual
    differences = np.abs(after - before).max(axis=1)
    labels = [_slide_labels(reference, chances) for chances in (before, after)]
    assessed = labels[0] != NOT_ASSESSABLE
    verdict = Verdict(
        tiles=len(logits),
        slides=len(assessed),
        patients=len(np.unique(reference.groups)),
        flips=int(np.count_nonzero(was != now)),
        flip_interval=share_interval(was != now, reference.groups),
        accuracy=float(right_after.mean()),
        accuracy_drop=float(right_before.mean() - right_after.mean()),
        accuracy_drop_interval=drop_interval(right_before, right_after, reference.groups),
        assessed_slides=int(np.count_nonzero(assessed)),
        changed_slides=int(np.count_nonzero(labels[0] != labels[1])),
        max_difference=round(float(differences.max()), 5),
        mean_difference=round(float(differences.mean()), 6),
        limits=limits or Limits(),
        reasons=(),
    )
    return msgspec.structs.replace(verdict, reasons=tuple(_reasons(verdict)))


def worth_a_trial(verdict: Verdict) -> bool:
    """Whether layers in float are worth trying: refused, and not only because there were too few tiles."""
    limits = verdict.limits
    return (
        (bool(verdict.reasons) and verdict.tiles >= limits.tiles and verdict.assessed_slides > 0)
        or verdict.flips > limits.flips * verdict.tiles
        or verdict.accuracy_drop > limits.accuracy_drop
        or verdict.changed_slides > limits.changed_slides
    )


def _reasons(verdict: Verdict) -> Iterator[str]:
    limits = verdict.limits
    if verdict.tiles < limits.tiles:
        yield f"{verdict.tiles} held-out tiles, expected at least {limits.tiles}"
    if verdict.flip_interval[1] > limits.flips:
        yield (
            f"up to {percent(verdict.flip_interval[1], 2)} of tiles may get another class (found "
            f"{verdict.flips} of {verdict.tiles}), limit {percent(limits.flips, None)}"
        )
    if verdict.accuracy_drop_interval[1] > limits.accuracy_drop:
        yield (
            f"accuracy may fall by up to {100 * verdict.accuracy_drop_interval[1]:.2f} points (found "
            f"{100 * verdict.accuracy_drop:.2f}), limit {100 * limits.accuracy_drop:g}"
        )
    if verdict.changed_slides > limits.changed_slides:
        yield (
            f"{verdict.changed_slides} of {verdict.assessed_slides} slide labels change, "
            f"limit {limits.changed_slides}"
        )
    if not verdict.assessed_slides:
        yield f"no slide has the {MIN_TISSUE_TILES} held-out tiles that a slide label takes"


def _slide_labels(reference: Predictions, chances: Logits) -> NDArray[np.str_]:
    """(slides,) the label of each slide, slides in a fixed order: that of the SDK's mean, of every tile.

    The SDK leaves tiles out that its quality codes or the novelty limit keep from voting; both models are
    compared on all of them.
    """
    slides = np.array([f"{g}\n{s}" for g, s in zip(reference.groups, reference.slides, strict=True)])
    return np.array([pooled_label(chances[slides == slide], reference.labels) for slide in np.unique(slides)])
