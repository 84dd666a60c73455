"""A trained network at another tile size: convolutions and a mean over places take any."""

from __future__ import annotations

from typing import Any

from her2edge_training.network.backend import keras, random_kept
from her2edge_training.network.networks import copy_weights


def resized(network: Any, tile_px: int) -> Any:
    """A keras.Model of the same weights for (n, tile_px, tile_px, 3); the network itself where it is of that.

    Raises ModelError where its layers do not take that size.
    """
    if network.input_shape[1] == tile_px:
        return network
    with random_kept():
        other = keras.models.clone_model(network, input_tensors=keras.Input((tile_px, tile_px, 3)))
    copy_weights(network, other)
    return other
