"""A graph made for the edge computes less and says the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import tiny_resnet

pytest.importorskip("tensorflow", reason="rewriting needs Keras on TensorFlow")

from her2edge.errors import ModelError
from her2edge.runtime.litert import answers
from her2edge_quantize.convert.edge import Rewrites, for_edge
from her2edge_quantize.convert.edge.flatbuffer import Graph, parse
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head
from her2edge_training.network.networks import build_model

EACH = [Rewrites(shortcuts=False), Rewrites(strides=False), Rewrites()]
IDS = ["strides", "shortcuts", "both"]


@cache
def network(tile_px: int = tiny_resnet.TILE_PX) -> Any:
    return tiny_resnet.build(tile_px)


def tiles(count: int, tile_px: int = tiny_resnet.TILE_PX) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 256, (count, tile_px, tile_px, 3), dtype=np.uint8)


def assert_says_the_same(rewritten: Any, original: Any, inputs: np.ndarray[Any, Any]) -> None:
    pairs = zip(
        tiny_resnet.two_outputs(rewritten, inputs), tiny_resnet.two_outputs(original, inputs), strict=True
    )
    for given, wanted in pairs:
        assert np.abs(wanted).max() > 0.05  # something to differ from
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("tile_px", [64, 72, 44])  # maps of 16, 18 and 11 px meet the first stride
@pytest.mark.parametrize("rewrites", EACH, ids=IDS)
def test_logits_and_features_are_those_of_the_network_as_trained(rewrites: Rewrites, tile_px: int) -> None:
    model = network(tile_px)
    assert_says_the_same(for_edge(model, rewrites), model, tiles(2, tile_px))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["se_resnet50", "resnet50"])
def test_the_papers_networks_say_the_same_with_every_rewrite(name: str) -> None:
    model = build_model(name, tile_px=96)
    tiny_resnet.unsettle(model, 3)
    for rewrites in EACH:
        assert_says_the_same(for_edge(model, rewrites), model, tiles(1, 96))


@pytest.mark.slow
def test_the_papers_network_multiplies_less() -> None:
    """By hand: 3/4 of a 3x3 and of a 1x1 convolution at each of three stage ends, 9 % of them all."""
    model = build_model("se_resnet50", tile_px=512)
    before, after = multiplications(model), multiplications(for_edge(model))
    saved = sum(0.75 * (512 / 2**n) ** 2 * (9 * w * w + 4 * w * w) for n, w in ((2, 64), (3, 128), (4, 256)))
    assert before - after == pytest.approx(saved, rel=0.01)
    assert saved / before == pytest.approx(0.09, abs=0.01)


def multiplications(model: Any) -> float:
    """Of the convolutions."""
    kernels = [(layer.kernel, layer.output.shape) for layer in model.layers if "conv" in layer.name
               and getattr(layer, "kernel", None) is not None]  # fmt: skip
    return float(sum(np.prod(kernel.shape) * shape[1] * shape[2] for kernel, shape in kernels))


def test_the_given_network_is_left_alone() -> None:
    model = tiny_resnet.build(seed=8)
    weights, wanted = model.get_weights(), tiny_resnet.two_outputs(model, tiles(1))
    names = [layer.name for layer in model.layers]
    for_edge(model)
    assert [layer.name for layer in model.layers] == names
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for given, want in zip(tiny_resnet.two_outputs(model, tiles(1)), wanted, strict=True):
        np.testing.assert_array_equal(given, want)


def test_the_head_folds_to_the_same_arrays() -> None:
    before, after = fold_head(network()), fold_head(for_edge(network()))
    for name in ("w1", "b1", "w2", "b2"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_without_any_rewrite_and_for_other_networks_the_network_itself_comes_back() -> None:
    assert for_edge(network(), Rewrites(strides=False, shortcuts=False)) is network()
    other = build_model("efficientnetb0", tile_px=32)
    assert for_edge(other) is other


def test_a_network_that_cannot_be_converted_is_refused() -> None:
    import keras

    pixels = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="any tile size"):
        for_edge(keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels)))


def test_the_converted_graph_folds_norms_and_needs_no_reshape_and_no_slice() -> None:
    """Adds: the mean and two shortcuts. Padding: stem, max-pool and two stage ends. QUANTIZE: the input, and
    one input of each concatenation at most."""
    kinds = Graph(parse(tiny_resnet.portable())).kinds()
    assert not {"RESHAPE", "STRIDED_SLICE", "SUB", "RSQRT"} & set(kinds)
    assert kinds.count("ADD") == 3
    assert kinds.count("PAD") == 4
    assert kinds.count("MUL") == 1
    assert kinds.count("CONCATENATION") == 3
    plain = Graph(parse(convert(network(), "int8", tiles(4)))).kinds()
    assert kinds.count("CONV_2D") == plain.count("CONV_2D") - 3


def test_float_flatbuffers_say_the_same() -> None:
    inputs = tiles(2)
    given, wanted = (
        answers(convert(model, "fp32"), (tile[np.newaxis] for tile in inputs))
        for model in (for_edge(network()), network())
    )
    for one, other in zip(given, wanted, strict=True):
        for name, want in other.items():
            np.testing.assert_allclose(one[name], want, rtol=0, atol=1e-5 * np.abs(want).max())
