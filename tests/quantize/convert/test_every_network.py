"""Every network of the paper's table in every scheme: it converts, and LiteRT gives what Keras gives."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tiny_qat import random_batch_norms

from her2edge_quantize.convert.edge import for_edge
from her2edge_quantize.convert.export import convert
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import build_model
from her2edge_training.recipe import ARCHITECTURES, MINIMUM_TILE_PX

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")

# Of the largest logit: rounding of sums; of weights to 11 bits; of weights, and of everything, to 8 bits.
TOLERANCE = {"fp32": 1e-3, "fp16": 0.02, "dynamic": 0.1, "int8": 0.3}
QUICK = ("efficientnetb0", "mobilenetv4_small")
SLOW = [name for name in ARCHITECTURES if name not in QUICK]  # a minute each: 24 million weights
NETWORKS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@cache
def network(name: str) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An untrained network, tiles of every brightness, and its float logits of them."""
    side = max(64, MINIMUM_TILE_PX[name])
    keras.utils.set_random_seed(1)
    model = build_model(name, tile_px=side, separable_filters=16, dense_units=8)
    noise = np.random.default_rng(3).integers(0, 256, (6, side, side, 3))
    tiles = (noise * np.linspace(0.3, 1, 6)[:, None, None, None]).astype(np.uint8)
    return for_edge(model), tiles, np.asarray(model(tiles.astype(np.float32), training=False))


def answers(flatbuffer: bytes, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, 3) logits as LiteRT computes them."""
    interpreter = Interpreter(model_content=flatbuffer)
    runner = interpreter.get_signature_runner()
    (given,) = runner.get_input_details()
    scale, zero = runner.get_output_details()["logits"]["quantization"]
    stored = np.concatenate([runner(**{given: tile[None]})["logits"] for tile in tiles]).astype(np.float64)
    return (stored - zero) * scale if scale else stored


@pytest.mark.parametrize("scheme", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_it_converts_and_gives_the_logits_of_keras(name: str, scheme: Any) -> None:
    model, tiles, wanted = network(name)
    given = answers(convert(model, scheme, tiles), tiles)
    assert np.abs(given - wanted).max() <= TOLERANCE[scheme] * np.abs(wanted).max()


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_can_be_trained_for_int8(name: str) -> None:
    """int8-qat is int8 of weights that went through the twin: it answers alike, and they come back."""
    pytest.importorskip("tf_keras", reason="training for int8 needs the toolkit")
    from her2edge_quantize.qat.fake import fake_quantised
    from her2edge_quantize.qat.twin import copy_back, twin_of

    _, tiles, _ = network(name)
    side = tiles.shape[1]
    model = random_batch_norms(build_model(name, tile_px=side, separable_filters=16, dense_units=8))
    wanted = np.asarray(model(tiles.astype(np.float32), training=False))
    twin = twin_of(model)
    given = np.asarray(twin.model(tiles.astype(np.float32), training=False))
    assert np.abs(given - wanted).max() <= 1e-4 * np.abs(wanted).max()
    fake_quantised(twin.model)
    copy_back(twin, model)
    if name == "efficientnetb0":  # the others' conversion is the one above, of the same kinds of layers
        converted = answers(convert(model, "int8-qat", tiles), tiles)
        assert np.isfinite(converted).all()
