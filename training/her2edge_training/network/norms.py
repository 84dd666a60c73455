"""Batch norms' statistics taken again: those that training leaves are a moving mean over its last crops."""

from __future__ import annotations

from typing import Any

import numpy as np

from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import TileSequence, typed_errors


def retake_norms(network: Any, tiles: TileSequence) -> None:
    """Give batch norms mean and variance of what they read on these tiles, each norm behind those before it.

    The network runs as in training, so that a norm reads what norms on a batch's own statistics give it; the
    batches' means and variances are put together to those of all tiles (Wu & Johnson 2021, arXiv 2105.07576).
    tiles: of the network's own input size, in batches that are all full. Weights stay as they are; norms that
    are not trained keep their statistics. Raises what reading tiles raises.
    """
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    norms = [norm for norm in norms if norm.trainable]
    momenta = [norm.momentum for norm in norms]
    read: list[list[tuple[Any, Any]]] = [[] for _ in norms]
    for norm in norms:
        norm.momentum = 0.0  # what is kept is then the batch's own
    try:
        with typed_errors(tiles):
            for index in range(len(tiles)):
                network(tiles[index][0].astype(np.float32), training=True)
                for norm, own in zip(norms, read, strict=True):
                    own.append(_kept(norm))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    for norm, own in zip(norms, read, strict=True):
        means, variances = (np.stack(rows) for rows in zip(*own, strict=True))
        norm.moving_mean.assign(means.mean(axis=0))
        norm.moving_variance.assign(variances.mean(axis=0) + means.var(axis=0))


def _kept(norm: Any) -> tuple[Any, Any]:
    """(mean, variance), float64, as the norm keeps them."""
    both = (norm.moving_mean, norm.moving_variance)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(one), np.float64) for one in both)
    return mean, variance
