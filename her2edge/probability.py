"""From logits to a class: the only softmax there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """softmax(logits / temperature) over the last axis: (..., classes) float32, computed in float64."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
