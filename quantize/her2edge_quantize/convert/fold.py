"""Batch norm folded into the layer before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError

Array = NDArray[np.float64]


def fold_batch_norm(layer: Any, norm: Any) -> tuple[Array, Array]:
    """(kernel, bias), float64, of a Conv2D or Dense layer with the BatchNormalization behind it folded in.

    Batch norm is y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a scale and a shift per unit
    (Ioffe & Szegedy 2015, arXiv 1502.03167). Raises ModelError where a layer has other weights.
    """
    kernel, bias = weights_of(layer, 2)
    gamma, beta, mean, variance = weights_of(norm, 4)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return kernel * scale, (bias - mean) * scale + beta


def weights_of(layer: Any, count: int) -> list[Array]:
    """The layer's `count` weights, float64; raises ModelError where it has more or less."""
    arrays = [np.asarray(array, dtype=np.float64) for array in layer.get_weights()]
    if len(arrays) != count:
        raise ModelError(f"layer {layer.name!r} has {len(arrays)} weights, expected {count}")
    return arrays
