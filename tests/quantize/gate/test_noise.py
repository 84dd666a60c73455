"""Where int8 loses: layers found again by their Keras names, their noise, and what float costs there."""

from __future__ import annotations

from functools import cache
from typing import Any

import make_tiny_model as tiny
import numpy as np
import pytest
import tiny_resnet
from ai_edge_litert.interpreter import Interpreter

from her2edge.errors import ModelError
from her2edge.model.file import Model
from her2edge.runtime import Activations
from her2edge.runtime.litert import LiteRTRuntime
from her2edge_quantize.convert.converter import require_tensorflow
from her2edge_quantize.convert.edge import for_edge
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.layers import float_layers, kind_of, layer_of, named_tensors
from her2edge_quantize.convert.network import layer_names
from her2edge_quantize.convert.selective import convert_keeping_float
from her2edge_quantize.gate.noise import layer_errors

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


@cache
def network() -> Any:
    """One convolution in the place of ResNet50's, then the real squeeze-excite, separable and head layers."""
    require_tensorflow()
    import keras

    from her2edge_training.network import networks

    keras.utils.set_random_seed(5)
    pixels = keras.Input((64, 64, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(pixels)
    x = keras.layers.Conv2D(32, 5, strides=4, activation="relu", name="stem")(x)
    x = networks.separable(networks.squeeze_and_excite(x, 4), 24)
    return keras.Model(pixels, networks.head(x, 3, 12, 0.5), name="se_tiny")


@cache
def files() -> tuple[bytes, bytes]:
    """(fp32, int8)"""
    return convert(network(), "fp32"), convert(network(), "int8", tiny.network_inputs(24, first=2000))


def test_squeeze_excite_depth_wise_and_head_are_named_as_in_keras() -> None:
    layers = layer_errors(*files(), tiny.network_inputs(3), layer_names(network()))
    named = {layer.name: layer.kind for layer in layers if layer.kind != "other"}
    assert {name for name, kind in named.items() if kind == "squeeze-excite"} == {
        "se_pool",
        "se_reduce",
        "se_expand",
        "se_scale + se_reshape",
    }
    assert [name for name, kind in named.items() if kind == "depth-wise"] == ["separable"]
    assert [name for name, kind in named.items() if kind == "head"][-1] == "logits"
    assert {layer.name for layer in layers} >= {"stem", "features"}
    assert not [layer for layer in layers if "/" in layer.name or ":" in layer.name]


def test_the_noise_of_the_feature_map_is_what_its_own_two_maps_say() -> None:
    tiles = tiny.network_inputs(5, first=30)
    (ratio,) = (
        layer.snr_db
        for layer in layer_errors(*files(), tiles, layer_names(network()))
        if layer.name == "features"
    )
    maps = []
    for flatbuffer, name in zip(files(), ("fp32", "int8"), strict=True):
        runtime = LiteRTRuntime(_packed(flatbuffer, name), threads=1)
        maps.append(np.stack([runtime.features(tile) for tile in tiles]).astype(np.float64))
    expected = 10 * np.log10(np.sum(maps[0] ** 2) / np.sum((maps[0] - maps[1]) ** 2))
    assert ratio == pytest.approx(expected, abs=1.0)  # the delegate rounds a little otherwise


def _packed(flatbuffer: bytes, scheme: Any) -> Model:
    from her2edge_quantize.convert.head import fold_head
    from her2edge_quantize.model_file.pack import pack

    head, golden = fold_head(network()), tiny.network_inputs(1)
    return Model.from_bytes(pack(flatbuffer, tiny.description(scheme), head, golden, tiny.CARD))


@pytest.mark.slow
def test_float_layers_are_float_the_rest_int8_and_the_logits_nearer_to_float32() -> None:
    float32, int8 = files()
    mixed, kept = convert_keeping_float(network(), float32, tiny.network_inputs(24, first=2000))
    assert {"se_reduce", "se_expand", "separable", "logits"} <= set(kept)
    inside = float_layers(mixed, layer_names(network()))
    assert set(inside) == set(kept)
    kinds = {step.tensor: step.dtype for step in Activations(mixed, 1).operators if step.kind == "CONV_2D"}
    assert set(kinds.values()) == {"int8"}
    assert float_layers(int8, layer_names(network())) == {}
    tiles = tiny.network_inputs(20, first=60)
    (whole, partly) = (
        {layer.name: layer.snr_db for layer in layer_errors(float32, other, tiles, layer_names(network()))}
        for other in (int8, mixed)
    )
    assert whole["logits"] is not None
    assert partly["logits"] is not None
    assert partly["logits"] > whole["logits"]


def test_subsampling_in_the_edge_graph_is_no_layer_to_keep_in_float() -> None:
    edge = for_edge(tiny_resnet.build())
    assert any(name.endswith("_even") for name in layer_names(edge))
    kept = named_tensors(convert(edge, "fp32"), layer_names(edge))
    assert not [name for name in kept.values() if name.endswith("_even")]
    assert {"se_reduce", "separable", "logits"} <= {n for name in kept.values() for n in name.split(" + ")}


def test_float_layers_leave_the_input_whole_whatever_range_the_calibration_tiles_have() -> None:
    dark = (tiny.network_inputs(8) * 0.7).astype(np.uint8)
    mixed, _ = convert_keeping_float(network(), files()[0], dark)
    (step, *_) = [s for s in Activations(mixed, 1).operators if s.kind == "QUANTIZE"]
    details = Interpreter(model_content=mixed).get_tensor_details()
    (first,) = [d for d in details if d["name"] == step.tensor]
    assert first["quantization"] == (pytest.approx(1.0), -128)


def test_what_has_no_integer_kernel_and_was_not_asked_for_is_refused_beside_float_layers() -> None:
    import keras

    pixels = keras.Input((64, 64, 3), name="pixels")
    x = keras.layers.Conv2D(4, 5, strides=4, name="stem")(pixels)
    x = keras.layers.Activation("sin" if hasattr(keras.activations, "sin") else keras.ops.sin, name="wavy")(x)
    x = keras.layers.Conv2D(4, 3, name="features")(x)
    odd = keras.Model(
        pixels, keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D(name="pool")(x))
    )
    with pytest.raises(ModelError, match=r"cannot be quantised: .*wavy"):
        convert_keeping_float(odd, convert(odd, "fp32"), tiny.network_inputs(8))


def test_a_network_beside_itself_has_no_noise() -> None:
    assert layer_errors(files()[0], files()[0], tiny.network_inputs(1), layer_names(network())) == ()


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("network_1/conv1_relu_1/Relu;network_1/conv1_conv_1/convolution", "conv1_relu + conv1_conv"),
        ("network_1/conv5_block3_1_conv_1/convolution1", "conv5_block3_1_conv"),
        ("network_1/add_1_2/Add", "add_1"),
        ("network_1/add_1/Add", "add"),
        ("StatefulPartitionedCall:0", "features"),
        ("tfl.quantize", "tfl.quantize"),
    ],
)
def test_a_tensors_name_leads_to_its_layers(tensor: str, name: str) -> None:
    layers = {"conv1_relu", "conv1_conv", "conv5_block3_1_conv", "add", "add_1"}
    assert layer_of(tensor, layers, {"features": "StatefulPartitionedCall:0"}) == name


def test_the_layers_of_other_networks_are_known_too() -> None:
    assert kind_of("block1a_se_reduce", "CONV_2D") == "squeeze-excite"
    assert kind_of("block2b_dwconv + block2b_bn", "DEPTHWISE_CONV_2D") == "depth-wise"
    assert kind_of("conv2_block1_1_conv", "CONV_2D") == "other"
    assert kind_of("house_reduce", "CONV_2D") == "other"
