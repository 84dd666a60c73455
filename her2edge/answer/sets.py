"""Prediction sets: which labels a slide's probabilities do not exclude, by the calibration slides.

Mondrian conformal prediction (Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World): label k
is in the set when 1 - p_k is at most the ceil((n_k + 1)(1 - alpha))-th smallest of the n_k scores 1 - p_k of
calibration slides that are k; always, where there are fewer scores than that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from her2edge.model.manifest import Manifest
from her2edge.model.protocol import SlideProtocol, differences

FEWEST_OF_A_CLASS = 9  # patients; with fewer every set holds the class, at alpha = 0.10


def why_uncalibrated(manifest: Manifest, protocol: SlideProtocol) -> str | None:
    """Why the calibration of a model file says nothing of this answer, in one sentence; None: it applies.

    Its scores were made with the file's own pooling, from slides of one protocol. An answer of another one is
    no draw from what they were drawn from: there is no promise.
    """
    calibration = manifest.calibration_slides
    if calibration is None:
        return "The model was not calibrated on slides, so no error can be stated."
    fewest = min(len(calibration.scores.get(label, ())) for label in manifest.labels)
    if fewest < FEWEST_OF_A_CLASS:
        return f"A label has {fewest} calibration slides; a stated error needs {FEWEST_OF_A_CLASS} of each."
    if protocol.tiles is None:
        return "It is not stated how the tiles were read (`read`), so no error can be stated."
    if calibration.protocol == protocol:
        return None
    other = "; ".join(differences(calibration.protocol, protocol))
    return f"The calibration slides were read or judged in another way ({other}), so no error can be stated."


def prediction_set(
    probabilities: Mapping[str, float], scores: Mapping[str, Sequence[float]], alpha: float
) -> tuple[str, ...]:
    """The labels, in the order of `probabilities`, that are not excluded. scores: by label, in any order."""
    return tuple(label for label, p in probabilities.items() if 1 - p <= _threshold(scores[label], alpha))


def _threshold(scores: Sequence[float], alpha: float) -> float:
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)  # 10 * 0.9 is nine, not a little more
    return sorted(scores)[rank - 1] if rank <= len(scores) else math.inf
