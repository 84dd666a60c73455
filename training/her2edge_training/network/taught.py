"""Batches with the teacher's answers in the place of labels, and the loss that learns them.

Hinton et al. 2015, arXiv 1503.02531; teacher and student see the same crop, turned and stained alike (Beyer
et al. 2022, arXiv 2106.05237), so the answers are made as batches are, by the threads that make them.

`keras.distillation` is not used: its Distiller runs a Keras teacher inside its own training step, and the
teacher here is a model file as a rule, which LiteRT runs; its loss has the same form as this one, but needs
Keras 3.12, and this works from 3.10 on. `her2edge_quantize.qat.distil` teaches a tf_keras twin int8's
rounding in steps of its own, at temperature 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.probability import probabilities
from her2edge.tile import Pixels
from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import TileSequence


class TaughtSequence(TileSequence):
    """A TileSequence whose batches hold (n, classes) float32 probabilities of the teacher, 0..1, for labels.

    answer: (n, t, t, 3) uint8 RGB to (n, classes) logits, see `run.teacher.Answer`; temperature: of their
    softmax. What does not change from epoch to epoch is asked once.
    """

    def __init__(self, *arguments: Any, answer: Any, temperature: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._answer, self._temperature = answer, temperature
        self._kept: dict[int, NDArray[np.float32]] = {}

    def _batch(self, epoch: int, index: int) -> Any:
        pixels, _labels, weights = super()._batch(epoch, index)
        if self._training:
            return pixels, self._taught(pixels), weights
        if index not in self._kept:
            self._kept[index] = self._taught(pixels)
        return pixels, self._kept[index], weights

    def _taught(self, pixels: Pixels) -> NDArray[np.float32]:
        return probabilities(self._answer(pixels), self._temperature)


def divergence(temperature: float) -> Any:
    """f(teacher's probabilities, student's logits), both (n, classes): (n,) nats, 0 where the two agree.

    T^2 KL(p || softmax(z / T)): T^2 keeps the gradient's size, whatever the temperature.
    """

    def each(taught: Any, logits: Any) -> Any:
        taught = keras.ops.cast(taught, logits.dtype)
        cross = keras.ops.categorical_crossentropy(taught, logits / temperature, from_logits=True)
        own = keras.ops.categorical_crossentropy(taught, taught)
        return temperature**2 * (cross - own)

    return each


class Divergence(keras.losses.Loss):  # type: ignore[misc]
    """The mean of `divergence`, weighted."""

    def __init__(self, temperature: float) -> None:
        super().__init__(name="divergence")
        self._each = divergence(temperature)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(n,), see `divergence`."""
        return self._each(y_true, y_pred)


def taught_metrics(temperature: float) -> list[Any]:
    """Metrics under the names of those of labels: the teacher's class is the right one."""
    return [
        keras.metrics.CategoricalAccuracy(name="accuracy"),
        keras.metrics.MeanMetricWrapper(divergence(temperature), name="entropy"),
    ]
