"""What a network says of tiles: logits and pooled features, in the tiles' order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import TileSequence, typed_errors


def with_features(model: Any) -> Any:
    """The network with its pooled features as a second output, for `predict`."""
    return keras.Model(model.inputs, [model.outputs[0], model.get_layer("pool").output])


def predict(both: Any, sequence: TileSequence) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, classes) logits and (n, channels) pooled features, float32, of a TileSequence in its order.

    both: `with_features` of a network, made once: it is compiled once, then.
    """
    with typed_errors(sequence):
        outputs = both.predict(sequence, verbose=0)
    n = len(sequence.records)  # what fills up the last batch is left out
    logits, pooled = (np.asarray(rows[:n], dtype=np.float32) for rows in outputs)
    return logits, pooled
