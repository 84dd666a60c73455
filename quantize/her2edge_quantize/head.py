"""The layers after the feature map as four arrays, batch norm folded in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.model import Head


def fold_head(model: Any) -> Head:
    """relu(mean(features) @ w1 + b1) @ w2 + b2 = the logits of a keras.Model; see `her2edge.model.Head`.

    Batch norm after `dense` is y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a scale and a
    shift per unit (Ioffe & Szegedy 2015, arXiv 1502.03167). Raises ModelError where a layer is missing.
    """
    layers = {layer.name: layer for layer in model.layers}
    missing = {"dense", "dense_bn", "logits"} - layers.keys()
    if missing:
        raise ModelError(f"the network has no layer {', '.join(sorted(missing))}, expected the usual head")
    w1, b1 = _arrays(layers["dense"], 2)
    gamma, beta, mean, variance = _arrays(layers["dense_bn"], 4)
    w2, b2 = _arrays(layers["logits"], 2)
    scale = gamma / np.sqrt(variance + layers["dense_bn"].epsilon)
    folded = (w1 * scale, (b1 - mean) * scale + beta, w2, b2)
    return Head(*(np.ascontiguousarray(array, dtype=np.float32) for array in folded))


def head_logits(head: Head, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) float32 logits of a (rows, columns, channels) float32 feature map."""
    pooled = features.mean(axis=(0, 1))
    return np.asarray(np.maximum(pooled @ head.w1 + head.b1, 0) @ head.w2 + head.b2, dtype=np.float32)


def _arrays(layer: Any, count: int) -> list[NDArray[np.float64]]:
    arrays = [np.asarray(array, dtype=np.float64) for array in layer.get_weights()]
    if len(arrays) != count:
        raise ModelError(f"layer {layer.name!r} has {len(arrays)} weights, expected {count}")
    return arrays
