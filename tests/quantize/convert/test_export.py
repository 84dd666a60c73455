"""From a Keras network to a FlatBuffer. Uses TensorFlow; one tiny network is converted once."""

from __future__ import annotations

import hashlib
import logging
import sys
from functools import cache
from typing import Any

import make_tiny_model as tiny
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from her2edge.errors import ModelError, OptionError, RuntimeUnavailable
from her2edge.model.file import Model
from her2edge.probability import probabilities
from her2edge.runtime.litert import LiteRTRuntime, read_tensors
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head, head_logits
from her2edge_quantize.options import SCHEMES

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


@cache
def network() -> Any:
    return tiny.build()


@cache
def packed(scheme: str) -> Model:
    return Model.from_bytes(tiny.make(network(), scheme=scheme))  # type: ignore[arg-type]


def keras_logits(tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(network()(tiles.astype(np.float32), training=False))


def test_fp32_gives_the_logits_and_features_of_keras() -> None:
    import keras

    tiles = tiny.network_inputs(6, first=700)
    runtime = LiteRTRuntime(packed("fp32"), threads=1)
    part = keras.Model(network().input, network().get_layer("pool").input)
    features = np.asarray(part(tiles.astype(np.float32), training=False))
    for tile, logits, wanted in zip(tiles, keras_logits(tiles), features, strict=True):
        np.testing.assert_allclose(runtime.logits(tile), logits, atol=1e-4)
        np.testing.assert_allclose(runtime.features(tile), wanted, atol=1e-4)


def test_fp16_is_smaller_and_near_keras() -> None:
    # The difference (0.024 over these tiles) is float16 rounding of the weights after the converter has
    # folded the batch norms: against Keras with weights folded and rounded likewise it is 0.0014.
    tiles = tiny.network_inputs(40, first=700)
    flatbuffer = convert(network(), "fp16")
    assert len(flatbuffer) < len(packed("fp32").flatbuffer)
    runner = Interpreter(model_content=flatbuffer).get_signature_runner()
    (name,) = runner.get_input_details()
    for tile, logits in zip(tiles, keras_logits(tiles), strict=True):
        np.testing.assert_allclose(runner(**{name: tile[None]})["logits"][0], logits, atol=0.05)


def test_dynamic_range_has_int8_weights_float_activations_and_is_near_keras() -> None:
    tiles = tiny.network_inputs(40, first=700)
    model = packed("dynamic")
    assert len(model.flatbuffer) < len(packed("fp32").flatbuffer)
    assert (model.manifest.logits.dtype, model.manifest.features.dtype) == ("float32", "float32")
    details = Interpreter(model_content=model.flatbuffer).get_tensor_details()
    assert (
        sum(np.dtype(detail["dtype"]).name == "int8" for detail in details) == 1
    )  # `conv`; smaller kernels stay
    runtime = LiteRTRuntime(model, threads=1)
    given = np.stack([probabilities(runtime.logits(tile), 1.0) for tile in tiles])
    assert 0 < np.abs(given - probabilities(keras_logits(tiles), 1.0)).max() < 0.1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_network_gives_the_same_bytes_whatever_was_converted_before(scheme: str) -> None:
    tiles = tiny.network_inputs(4)
    digests = {hashlib.sha256(convert(network(), scheme, tiles)).hexdigest() for _ in range(2)}  # type: ignore[arg-type]
    assert len(digests) == 1


def test_int8_probabilities_are_near_those_of_keras() -> None:
    tiles = tiny.network_inputs(40, first=700)
    runtime = LiteRTRuntime(packed("int8"), threads=1)
    given = np.stack([probabilities(runtime.logits(tile), 1.0) for tile in tiles])
    difference = np.abs(given - probabilities(keras_logits(tiles), 1.0))
    assert difference.max() < 0.12
    assert difference.mean() < 0.02


def test_int8_is_integer_throughout_with_a_scale_per_channel_and_raw_bytes_in() -> None:
    flatbuffer = packed("int8").flatbuffer
    tensors = read_tensors(flatbuffer)
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)
    details = Interpreter(model_content=flatbuffer).get_tensor_details()
    kinds = {np.dtype(detail["dtype"]).name for detail in details if detail["shape"].size}
    assert kinds <= {"int8", "uint8", "int32"}
    assert max(len(detail["quantization_parameters"]["scales"]) for detail in details) >= 16


@pytest.mark.parametrize("low_high", [(0, 255), (60, 190)])
def test_the_input_scale_is_one_whatever_range_the_calibration_tiles_have(low_high: tuple[int, int]) -> None:
    tiles = tiny.network_inputs(4).astype(np.float32)
    narrow = (low_high[0] + tiles / 255 * (low_high[1] - low_high[0])).astype(np.uint8)
    tensors = read_tensors(convert(network(), "int8", narrow))
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)


def test_the_folded_head_gives_the_logits_of_keras() -> None:
    import keras

    tiles = tiny.network_inputs(8, first=700)
    part = keras.Model(network().input, network().get_layer("pool").input)
    features = np.asarray(part(tiles.astype(np.float32), training=False))
    given = [head_logits(fold_head(network()), feature) for feature in features]
    np.testing.assert_allclose(given, keras_logits(tiles), atol=1e-4)


def test_int8_without_usable_calibration_tiles_is_refused() -> None:
    flat = np.full((3, 64, 64, 3), 200, np.uint8)
    for tiles in (None, list(flat[:0]), list(flat), list(flat[:, :32])):
        with pytest.raises(OptionError):
            convert(network(), "int8", tiles)
    with pytest.raises(OptionError):
        convert(network(), "int4")  # type: ignore[arg-type]


def test_a_weight_that_is_not_a_number_is_refused_by_the_name_of_its_layer() -> None:
    import keras

    broken = keras.models.clone_model(network())
    kernel, bias = broken.get_layer("stem").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    broken.get_layer("stem").set_weights([kernel, bias])
    with pytest.raises(ModelError, match="'stem' holds NaN"):
        convert(broken, "fp32")


def test_a_layer_the_converter_does_not_know_is_a_model_error() -> None:
    import keras
    import tensorflow as tf

    class Strange(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tf.raw_ops.Betainc(a=tf.abs(x) + 1.0, b=tf.abs(x) + 1.0, x=tf.sigmoid(x))

    pixels = keras.Input((64, 64, 3))
    features = keras.layers.Conv2D(2, 3, name="features")(pixels)
    x = Strange(name="strange")(keras.layers.GlobalAveragePooling2D()(features))
    with pytest.raises(ModelError, match=r"cannot be converted: layer strange: 'tf.Betainc' op"):
        convert(keras.Model(pixels, keras.layers.Dense(3)(x)), "fp32")


def test_a_layer_that_the_converter_would_leave_in_float_is_named_and_int8_refused() -> None:
    import keras

    pixels = keras.Input((64, 64, 3))
    features = keras.layers.Conv2D(2, 3, name="features")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(features)
    x = keras.layers.Activation(keras.ops.sin, name="wavy")(x)
    network = keras.Model(pixels, keras.layers.Dense(3)(x))
    assert convert(network, "dynamic")
    with pytest.raises(ModelError, match=r"cannot be quantised: wavy \(SIN\)"):
        convert(network, "int8", tiny.network_inputs(3))


def test_a_network_of_another_form_is_refused() -> None:
    import keras

    grey = keras.Input((64, 64, 1))
    any_size = keras.Input((None, None, 3))
    plain = keras.Input((64, 64, 3))
    for pixels in (grey, any_size, plain):
        x = keras.layers.GlobalAveragePooling2D()(pixels)
        with pytest.raises(ModelError):
            convert(keras.Model(pixels, keras.layers.Dense(3)(x)), "fp32")


def test_conversion_leaves_the_root_logger_alone() -> None:
    before = list(logging.root.handlers), logging.root.level
    packed("fp32")
    assert (list(logging.root.handlers), logging.root.level) == before


def test_without_tensorflow_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(RuntimeUnavailable, match=r'pip install "her2edge\[quantize\]"'):
        convert(None, "fp32")
