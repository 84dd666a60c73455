"""The layers after the feature map as four arrays, batch norm folded in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.model.file import Head
from her2edge_quantize.convert.fold import fold_batch_norm, weights_of


def fold_head(model: Any) -> Head:
    """relu(mean(features) @ w1 + b1) @ w2 + b2 = the logits of a keras.Model; see `her2edge.model.file.Head`.

    Raises ModelError where a layer is missing.
    """
    layers = {layer.name: layer for layer in model.layers}
    missing = {"dense", "dense_bn", "logits"} - layers.keys()
    if missing:
        raise ModelError(f"the network has no layer {', '.join(sorted(missing))}, expected the usual head")
    folded = (*fold_batch_norm(layers["dense"], layers["dense_bn"]), *weights_of(layers["logits"], 2))
    return Head(*(np.ascontiguousarray(array, dtype=np.float32) for array in folded))


def head_logits(head: Head, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(classes,) float32 logits of a (rows, columns, channels) float32 feature map."""
    pooled = features.mean(axis=(0, 1))
    return np.asarray(np.maximum(pooled @ head.w1 + head.b1, 0) @ head.w2 + head.b2, dtype=np.float32)
