"""The gate: may a converted model stand in for the trained network? Logits in, verdict out.

The upper end of the flips' 95 % interval decides, not the share that was seen. It bounds the loss of accuracy
as well, which cannot be more than tiles flip; 60 patients cannot show half a point of it, so that `loss`
takes the loss found.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.answer import NOT_ASSESSABLE, pooled_label
from her2edge.errors import ModelError, OptionError
from her2edge.model.records import GATE_PATIENTS, Limits, Verdict
from her2edge.probability import probabilities
from her2edge_quantize.gate.reasons import reasons
from her2edge_training.evaluation.intervals import drop_interval, likeness, share_interval
from her2edge_training.run.predictions import Predictions

Logits = NDArray[np.float32]


class GateRefusedError(ModelError):
    """A converted model is further from float32 than the limits allow, or cannot show that it is not."""


def judge(
    reference: Predictions,
    logits: Logits,
    temperature: float,
    limits: Limits | None = None,
    judges: NDArray[np.bool_] | None = None,
) -> Verdict:
    """Hold a model's (n, classes) float32 logits against the float32 network's, tile by tile.

    reference:   float32 logits, actual labels (-1: none), slides and patients of the n tiles.
    temperature: the model's; both models' probabilities are compared at it.
    judges:      (n,) the tiles that chose nothing; None: all. Where none did not choose, all are counted and
                 the verdict refuses. Accuracy is that of judges with a label, of others where there is none.
    Raises OptionError for arrays that do not belong together.
    """
    if logits.shape != reference.logits.shape or not len(logits):
        raise OptionError(
            f"found logits {logits.shape} and {reference.logits.shape}, expected n rows, 1 or more, of both"
        )
    limits = limits or Limits()
    if limits.patients is UNSET:
        limits = msgspec.structs.replace(limits, patients=GATE_PATIENTS)
    every = np.ones(len(logits), bool)
    judges = every if judges is None else judges
    measured = judges if judges.any() else every
    own, changed = reference.only(measured), logits[measured]
    before, after = (probabilities(rows, temperature) for rows in (own.logits, changed))
    flips = before.argmax(axis=1) != after.argmax(axis=1)
    differences = np.abs(after - before).max(axis=1)
    labels = [_slide_labels(own, chances) for chances in (before, after)]
    assessed = labels[0] != NOT_ASSESSABLE
    scored = _scored(reference, measured)
    right, still_right = (
        rows[scored].argmax(axis=1) == reference.actual[scored] for rows in (reference.logits, logits)
    )
    alike = likeness(flips.astype(float), own.groups)
    verdict = Verdict(
        tiles=len(changed),
        slides=len(assessed),
        patients=len(np.unique(own.groups)),
        flips=int(np.count_nonzero(flips)),
        flip_interval=share_interval(flips, own.groups),
        flip_likeness=None if alike is None else round(alike, 3),
        labelled=int(np.count_nonzero(scored)),
        accuracy=float(still_right.mean()),
        accuracy_drop=float(right.mean() - still_right.mean()),
        accuracy_drop_interval=drop_interval(right, still_right, reference.groups[scored]),
        assessed_slides=int(np.count_nonzero(assessed)),
        changed_slides=int(np.count_nonzero(labels[0] != labels[1])),
        max_difference=round(float(differences.max()), 5),
        mean_difference=round(float(differences.mean()), 6),
        limits=limits,
        reasons=(),
    )
    return msgspec.structs.replace(verdict, reasons=tuple(reasons(verdict, judged=bool(judges.any()))))


def _scored(reference: Predictions, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) tiles that accuracy is of; raises OptionError where no tile has a label."""
    labelled = reference.actual >= 0
    if not labelled.any():
        raise OptionError("found no tile with a label, expected those of the run's validation part")
    both: NDArray[np.bool_] = labelled & measured
    return both if both.any() else labelled


def _slide_labels(reference: Predictions, chances: Logits) -> NDArray[np.str_]:
    """(slides,) the label of each slide, slides in a fixed order: that of the SDK's mean, of every tile.

    The SDK leaves tiles out that its quality codes or the novelty limit keep from voting; both models are
    compared on all of them.
    """
    slides = np.array([f"{g}\n{s}" for g, s in zip(reference.groups, reference.slides, strict=True)])
    return np.array([pooled_label(chances[slides == slide], reference.labels) for slide in np.unique(slides)])
