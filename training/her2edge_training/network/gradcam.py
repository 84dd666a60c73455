"""Grad-CAM of a Keras network by gradient, on whatever backend Keras has.

Keras has no gradient that works on all of its backends, but its optimizers need one: a `nudge` that begins
at zero and is added to the feature map holds, after one step of plain gradient descent at rate 1 on minus a
logit, exactly d logit / d features. Selvaraju et al. 2017, arXiv 1610.02391.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.explain import weighted_map
from her2edge.tile import Pixels
from her2edge_training.network.backend import jit_compile, keras
from her2edge_training.network.networks import check_finite


class GradCam:
    """Logits, feature map and Grad-CAM of a keras.Model with a layer `features`, (n, t, t, 3) RGB to logits.

    The model is left as it is. Raises ModelError where it is not such a network, or a weight is no number.
    """

    def __init__(self, model: Any) -> None:
        self.tile_px, self.classes = _check(model)
        check_finite(model)
        features = model.get_layer("features").output
        self._network = keras.Model(model.input, [model.output, features])
        self._nudged = _nudged(keras.Model(features, model.output))

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(tile_px, tile_px, 3) uint8 RGB in; (classes,) and (rows, columns, channels) float32 out."""
        logits, features = self._network.predict_on_batch(pixels[np.newaxis].astype(np.float32))
        return np.asarray(logits[0], np.float32), np.asarray(features[0], np.float32)

    def gradient(self, features: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """d logit / d features of class `index` at `features`, both (rows, columns, channels) float32."""
        wanted = np.zeros((1, self.classes), np.float32)
        wanted[0, index] = 1
        nudge = self._nudged.nudge
        nudge.assign(np.zeros(nudge.shape, np.float32))
        self._nudged.train_on_batch(features[np.newaxis], wanted)
        return np.asarray(keras.ops.convert_to_numpy(nudge), np.float32)

    def class_map(self, features: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """(rows, columns) float32, 0 or above, as `her2edge.explain.class_map`; raises ModelError."""
        return weighted_map(features, self.gradient(features, index).mean(axis=(0, 1)))


def _check(model: Any) -> tuple[int, int]:
    """Tile size in pixels and number of classes."""
    pixels, logits = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not (isinstance(pixels, tuple) and len(pixels) == 4 and pixels[1] == pixels[2] and pixels[3] == 3):
        raise ModelError(f"found a network with input {pixels}, expected (n, tile_px, tile_px, 3)")
    if pixels[1] is None:
        raise ModelError("found a network for any tile size, expected a fixed one: build it with tile_px")
    if not (isinstance(logits, tuple) and len(logits) == 2):
        raise ModelError(f"found a network with output {logits}, expected logits (n, classes)")
    layers = {layer.name: layer for layer in model.layers}
    if "features" not in layers or len(layers["features"].output.shape) != 4:
        raise ModelError("found no feature map, expected a layer named `features` with (n, rows, columns, c)")
    return int(pixels[1]), int(logits[1])


def _nudged(head: Any) -> Any:
    """A copy of the layers behind the feature map, frozen, with a nudge added to what they are given."""
    copy = keras.models.clone_model(head)
    copy.set_weights(head.get_weights())
    copy.trainable = False
    model = _Nudged(copy)
    model.compile(keras.optimizers.SGD(learning_rate=1.0), _minus_logit, jit_compile=jit_compile())
    return model


class _Nudged(keras.Model):  # type: ignore[misc]
    def __init__(self, head: Any) -> None:
        super().__init__(name="nudged_head")
        self.head = head
        self.nudge = self.add_weight(
            name="nudge", shape=head.input_shape[1:], initializer="zeros", dtype="float32"
        )

    def call(self, features: Any) -> Any:
        return self.head(keras.ops.add(features, self.nudge), training=False)


def _minus_logit(wanted: Any, logits: Any) -> Any:
    return -keras.ops.sum(wanted * logits, axis=-1)
