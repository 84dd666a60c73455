"""Statistics of batch norms taken again: those of all tiles, each norm behind those before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

from her2edge.errors import TileError
from her2edge_training.network.backend import keras
from her2edge_training.network.norms import retake_norms

TILES = np.random.default_rng(2).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)


class Batches:
    """What `retake_norms` reads of a TileSequence."""

    error: Exception | None = None

    def __init__(self, size: int, broken: bool = False) -> None:
        self._size, self._broken = size, broken

    def __len__(self) -> int:
        return len(TILES) // self._size

    def __getitem__(self, index: int) -> Any:
        if self._broken and index == 1:
            self.error = TileError("a tile is gone")
            raise self.error
        return TILES[index * self._size : (index + 1) * self._size], None, None


def network(trainable: bool = True) -> Any:
    keras.utils.set_random_seed(4)
    x = pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(x)
    x = keras.layers.BatchNormalization(name="first", momentum=0.9)(x)
    x = keras.layers.Conv2D(5, 3, use_bias=False)(keras.layers.ReLU()(x))
    x = keras.layers.BatchNormalization(name="second", momentum=0.9, trainable=trainable)(x)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))


def test_the_first_norm_has_mean_and_variance_of_all_values_whatever_the_batches() -> None:
    for size in (2, 6, 12):
        model = network()
        retake_norms(model, Batches(size))  # type: ignore[arg-type]
        values = np.asarray(keras.Model(model.input, model.layers[1].output)(TILES.astype(np.float32)))
        norm = model.get_layer("first")
        np.testing.assert_allclose(norm.moving_mean, values.mean(axis=(0, 1, 2)), rtol=1e-4)
        np.testing.assert_allclose(norm.moving_variance, values.var(axis=(0, 1, 2)), rtol=1e-3)


def test_a_norm_reads_what_the_norms_before_it_give_in_training() -> None:
    """All tiles in one batch: then what it reads in use is what it read."""
    model = network()
    retake_norms(model, Batches(12))  # type: ignore[arg-type]
    before = keras.Model(model.input, model.get_layer("second").input)
    values = np.asarray(before(TILES.astype(np.float32), training=False))
    norm = model.get_layer("second")
    np.testing.assert_allclose(norm.moving_mean, values.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, values.var(axis=(0, 1, 2)), rtol=1e-3)


def test_weights_momenta_and_norms_that_are_not_trained_stay_as_they_are() -> None:
    model = network(trainable=False)
    second = [np.asarray(value) for value in model.get_layer("second").weights]
    trained = [np.asarray(value) for value in model.trainable_weights]
    retake_norms(model, Batches(4))  # type: ignore[arg-type]
    for before, after in zip(trained, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(second, model.get_layer("second").weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.get_layer("first").momentum == 0.9


def test_a_tile_that_cannot_be_read_is_the_error_and_momenta_come_back() -> None:
    model = network()
    with pytest.raises(TileError, match="a tile is gone"):
        retake_norms(model, Batches(4, broken=True))  # type: ignore[arg-type]
    assert model.get_layer("first").momentum == model.get_layer("second").momentum == 0.9
