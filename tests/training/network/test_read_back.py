"""Weights of a model file put back into a Keras network: the file's own answers, and norms to go on from."""

from __future__ import annotations

from typing import Any

import make_tiny_model as tiny
import numpy as np
import pytest
import resnet_file
import tiny_resnet

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")

from her2edge import Model
from her2edge.errors import ModelError
from her2edge.probability import log_softmax, softmax
from her2edge.runtime import answers, open_runtime
from her2edge_quantize.convert.edge import for_edge
from her2edge_quantize.convert.export import convert
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import build_model
from her2edge_training.network.read_back import StoredNetwork, settle_norms

TILES = tiny.network_inputs(4)
ROUNDED = 0.15  # how far int8 answers of random weights lie from their float twin's


class Tiles(keras.utils.PyDataset):  # type: ignore[misc]
    """Two batches of made-up tissue, as `TileSequence` gives them."""

    error = None

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any]]:
        return (tiny.network_inputs(4, first=10 + 4 * index),)


def filled(flatbuffer: bytes) -> Any:
    """A network of other random weights with those of a file."""
    network = tiny_resnet.build(seed=3)
    StoredNetwork.read(flatbuffer).fill(network)
    return network


def logits(network: Any, tiles: np.ndarray[Any, Any] = TILES) -> np.ndarray[Any, Any]:
    return np.asarray(network(tiles.astype(np.float32), training=False))


def stored_logits(flatbuffer: bytes) -> np.ndarray[Any, Any]:
    """Of a float scheme, by LiteRT."""
    return np.concatenate([made["logits"] for made in answers(flatbuffer, TILES[:, np.newaxis])])


@pytest.mark.parametrize(
    ("scheme", "apart"),
    [
        ("fp32", 1e-3),
        pytest.param("fp16", 2e-2, marks=pytest.mark.slow),
        pytest.param("dynamic", 0.1, marks=pytest.mark.slow),
    ],
)
def test_the_network_answers_as_the_file_it_was_read_from(scheme: Any, apart: float) -> None:
    flatbuffer = resnet_file.flatbuffer(scheme)
    found = logits(filled(flatbuffer))
    np.testing.assert_allclose(found, stored_logits(flatbuffer), atol=apart)
    assert np.ptp(found, axis=0).max() > 4 * apart, "tiles differ by more than that"


def test_an_int8_file_is_read_back_to_within_its_rounding_and_packed_as_portable() -> None:
    portable, packed = (filled(resnet_file.usual(fast=fast).flatbuffer) for fast in (False, True))
    for one, other in zip(portable.get_weights(), packed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    runtime = open_runtime("litert", resnet_file.usual(), 1)
    own = np.stack([runtime.logits(tile) for tile in TILES])
    np.testing.assert_allclose(log_softmax(logits(portable), 1.0), log_softmax(own, 1.0), atol=ROUNDED)


def test_norms_get_the_statistics_of_the_tiles_and_the_function_stays() -> None:
    network = filled(resnet_file.flatbuffer("fp32"))
    before = logits(network)
    settle_norms(network, Tiles())
    np.testing.assert_allclose(logits(network), before, atol=1e-4)
    seen = np.concatenate([Tiles()[index][0] for index in range(2)]).astype(np.float32)
    for name in ("conv1_bn", "conv3_block1_2_bn", "separable_bn", "dense_bn"):
        norm = network.get_layer(name)
        read = np.asarray(keras.Model(network.input, norm.input)(seen, training=False), np.float64)
        read = read.reshape(-1, read.shape[-1])
        _, _, mean, variance = norm.get_weights()
        np.testing.assert_allclose(mean, read.mean(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(variance, read.var(axis=0), rtol=1e-3, atol=1e-6)
    last = keras.Model(network.input, network.get_layer("dense_bn").output)
    training, still = (np.asarray(last(seen, training=mode)) for mode in (True, False))
    assert np.abs(training - still).mean() < 0.2 * np.std(still), "a step of training sees nearly the same"


def test_a_layer_without_weights_in_the_file_is_refused_by_name() -> None:
    stored = StoredNetwork.read(resnet_file.flatbuffer("fp32"))
    less = {name: own for name, own in stored.layers.items() if name != "se_expand"}
    with pytest.raises(ModelError, match=r"no weights of layer 'se_expand' .* start from its run"):
        StoredNetwork(less, stored.depthwise).fill(tiny_resnet.build())


def test_weights_of_another_shape_are_refused_by_name() -> None:
    stored = StoredNetwork.read(resnet_file.flatbuffer("fp32"))
    other = dict(stored.layers) | {"conv2_block1_1_conv": stored.layers["conv2_block1_2_conv"]}
    with pytest.raises(ModelError, match=r"found weights \(4, 3, 3, 4\) of layer 'conv2_block1_1_conv'"):
        StoredNetwork(other, stored.depthwise).fill(tiny_resnet.build())
    assert stored.squeezed == (8, 32)


@pytest.mark.slow
def test_the_embedded_demo_model_is_read_back_whole() -> None:
    model = Model.demo(trust="anyone")
    network = build_model("se_resnet50", tile_px=model.tile_px, classes=3)
    StoredNetwork.read(model.flatbuffer).fill(network)
    found, own = (softmax(one, 1.0) for one in (logits(network, model.golden.tiles), model.golden.logits))
    np.testing.assert_allclose(found, own, atol=0.01)


@pytest.mark.slow
def test_the_network_without_the_papers_blocks_is_read_back_too() -> None:
    trained, network = (build_model("resnet50", tile_px=64, classes=3, dense_units=16) for _ in range(2))
    tiny_resnet.unsettle(trained, 5)
    StoredNetwork.read(convert(for_edge(trained), "fp32")).fill(network)
    own = logits(trained)
    np.testing.assert_allclose(logits(network) / np.abs(own).max(), own / np.abs(own).max(), atol=1e-4)
