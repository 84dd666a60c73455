"""From logits to a class: the only softmax there is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(logits: NDArray[Any], temperature: float | Floats) -> Floats:
    """softmax(logits / temperature) over the last axis: (..., classes) float64.

    temperature: above 0; one for all, or one for each row, (...).
    """
    powers = np.exp(_centred(logits, temperature))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(logits: NDArray[Any], temperature: float | Floats) -> Floats:
    """The natural logarithm of `softmax`, finite also where that rounds to 0."""
    centred = _centred(logits, temperature)
    return np.asarray(centred - np.log(np.exp(centred).sum(axis=-1, keepdims=True)))


def probabilities(logits: NDArray[Any], temperature: float | Floats) -> NDArray[np.float32]:
    """`softmax` as results hold it: (..., classes) float32, computed in float64."""
    return softmax(logits, temperature).astype(np.float32)


def _centred(logits: NDArray[Any], temperature: float | Floats) -> Floats:
    """Scaled, and shifted so that the largest is 0: no power is too large."""
    scaled = logits.astype(np.float64) / np.asarray(temperature, np.float64)[..., np.newaxis]
    return np.asarray(scaled - scaled.max(axis=-1, keepdims=True))
