"""Keras network to FlatBuffer, by TensorFlow's converter: the door to it for all of this package.

fp32, fp16: uint8 pixels are cast inside the graph, so the input tensor is uint8 without quantisation
dynamic:    the same with int8 weights; activations stay float, their ranges are found tile by tile
int8:       full integer, per-channel weights, int8 outputs; the input is uint8 with scale 1.0 and
            zero point 0, so that the SDK hands raw RGB bytes through
int8-qat:   the same, of a network whose weights were trained for it (`her2edge_quantize.qat`)
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, OptionError, RuntimeUnavailable
from her2edge.model.manifest import Scheme
from her2edge.runtime import read_tensors
from her2edge.tile import Pixels, check_pixels
from her2edge_quantize.gate.layers import float_layers

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
INT8: tuple[Scheme, ...] = ("int8", "int8-qat")
FEATURES, LOGITS = "features", "logits"


def convert(model: Any, scheme: Scheme, calibration: Iterable[Pixels] | None = None) -> bytes:
    """Return the FlatBuffer of a keras.Model: batch 1, one signature with outputs `logits` and `features`.

    model:       (n, t, t, 3) float32 RGB 0..255 in, (n, classes) logits out, with a layer `features`.
    calibration: (t, t, 3) uint8 RGB network inputs that set the ranges of int8; not used otherwise.

    Raises ModelError where the network cannot be converted, naming the layer where that is known, OptionError
    for a scheme without its tiles, RuntimeUnavailable without TensorFlow.
    """
    if scheme not in SCHEMES:
        raise OptionError(f"found scheme {scheme!r}, expected one of {', '.join(SCHEMES)}")
    tf, _ = require_tensorflow()
    tile_px = check_network(model)
    tiles = _calibration_tiles(calibration, tile_px) if scheme in INT8 else []
    stored = tf.float32 if scheme in INT8 else tf.uint8
    with converter_of(model, stored) as converter:
        _set_scheme(tf, converter, scheme, tiles)
        flatbuffer = bytes(converter.convert())
    _verify(flatbuffer, scheme, tile_px)
    if scheme in INT8:
        refuse_float(float_layers(flatbuffer, layer_names(model)))
    return flatbuffer


@contextmanager
def converter_of(model: Any, stored: Any) -> Iterator[Any]:
    """A tf.lite.TFLiteConverter of the network with input pixels of the tf.DType `stored`.

    What goes wrong inside the block becomes a ModelError.
    """
    tf, converter_error = require_tensorflow()
    tile_px = check_network(model)
    try:
        module = _constant_module(tf, two_outputs(model), tf.TensorSpec((1, tile_px, tile_px, 3), stored))
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # "Statistics for quantized inputs": the ranges are verified later
            warnings.simplefilter("ignore")
            tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
            yield tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    except (converter_error, tf.errors.OpError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the network cannot be converted: {_reason(error, model)}") from error


def check_network(model: Any) -> int:
    """Tile size, pixels, of a network that can be converted; raises ModelError naming what is wrong."""
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3):
        raise ModelError(f"found a network with input {shape}, expected (n, tile_px, tile_px, 3)")
    if shape[1] is None:
        raise ModelError("found a network for any tile size, expected a fixed one: build it with tile_px")
    if FEATURES not in {layer.name for layer in model.layers}:
        raise ModelError("found no layer `features`, expected the feature map under this name")
    from her2edge_training.network.networks import check_finite  # brings Keras

    check_finite(model)
    return int(shape[1])


def layer_names(model: Any) -> tuple[str, ...]:
    """Names of a keras.Model's layers, to find them again in tensor names."""
    return tuple(layer.name for layer in model.layers)


def two_outputs(model: Any) -> Any:
    """The same network with the feature map as a second output."""
    import keras

    outputs = {LOGITS: model.output, FEATURES: model.get_layer(FEATURES).output}
    return keras.Model(model.input, outputs, name="network")  # the name is part of the file's bytes


def _constant_module(tf: Any, network: Any, pixels: Any) -> Any:
    """A tf.Module whose `serve` is the network with its weights as constants.

    With Keras 3 variables the converter leaves READ_VARIABLE operators, on which calibration fails.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = tf.function(lambda x: network(tf.cast(x, tf.float32), training=False)).get_concrete_function(
        pixels
    )
    constant = convert_variables_to_constants_v2(concrete)
    module = tf.Module()
    module.serve = tf.function(
        lambda pixels: tf.nest.pack_sequence_as(concrete.structured_outputs, constant(pixels)),
        input_signature=[tf.TensorSpec(pixels.shape, pixels.dtype, name="pixels")],
    )
    return module


def _calibration_tiles(calibration: Iterable[Pixels] | None, tile_px: int) -> list[Pixels]:
    """Checked calibration tiles, (tile_px, tile_px, 3) uint8 RGB; raises OptionError, TileError."""
    tiles = [check_pixels(tile) for tile in (() if calibration is None else calibration)]
    if not tiles:
        raise OptionError("found no calibration tiles, expected some of the training split for int8")
    for tile in tiles:
        if tile.shape != (tile_px, tile_px, 3):
            raise OptionError(f"found a calibration tile {tile.shape}, expected ({tile_px}, {tile_px}, 3)")
    if all(tile.min() == tile.max() for tile in tiles):
        raise OptionError("found calibration tiles of one grey value each, expected tissue")
    return tiles


def samples(tiles: list[Pixels]) -> Iterator[list[NDArray[np.float32]]]:
    """(1, t, t, 3) float32 network inputs, 0..255, that together span 0..255 exactly.

    The range of the input tensor is the smallest and the largest value seen. Real tiles seldom reach both
    ends, so the tile with the widest range comes once more, stretched linearly to 0..255: still tissue, and
    it makes the input's scale exactly 1.0 and its zero point 0.
    """
    for tile in tiles:
        yield [tile[np.newaxis].astype(np.float32)]
    widest = max(tiles, key=lambda tile: int(tile.max()) - int(tile.min())).astype(np.float32)
    stretched = np.rint((widest - widest.min()) * np.float32(255) / (widest.max() - widest.min()))
    yield [stretched[np.newaxis]]


def _set_scheme(tf: Any, converter: Any, scheme: Scheme, tiles: list[Pixels]) -> None:
    if scheme == "fp32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme not in INT8:
        return
    converter.representative_dataset = lambda: samples(tiles)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8


def _verify(flatbuffer: bytes, scheme: Scheme, tile_px: int) -> None:
    """Hold the FlatBuffer against what was asked for; raises ModelError."""
    tensors = read_tensors(flatbuffer)
    found = (tensors.tile_px, tensors.scale, tensors.zero_point)
    if found != (tile_px, 1.0, 0):
        raise ModelError(f"found an input of (size, scale, zero point) {found}, expected ({tile_px}, 1.0, 0)")
    wanted = "int8" if scheme in INT8 else "float32"
    for name, output in ((LOGITS, tensors.logits), (FEATURES, tensors.features)):
        if output.dtype != wanted or (output.scale > 0) != (scheme in INT8):
            raise ModelError(f"found {name} as {output.dtype} with scale {output.scale}, expected {wanted}")


def refuse_float(found: Mapping[str, str]) -> None:
    """The converter leaves in float, without a word, what has no integer kernel; raises ModelError.

    found: kinds of operators by layer, see `float_layers`.
    """
    if found:
        said = ", ".join(f"{layer} ({kind})" for layer, kind in found.items())
        raise ModelError(
            f"found layers that cannot be quantised: {said}: expected int8 throughout; build the "
            "network without them, or use another scheme"
        )


def require_tensorflow() -> tuple[Any, type[Exception]]:
    """TensorFlow and its converter's error, without start-up chatter; raises RuntimeUnavailable.

    To be called before Keras is imported, which would import TensorFlow first.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
        from tensorflow.lite.python.convert_phase import ConverterError
    except ImportError as error:
        raise RuntimeUnavailable(
            f"found no usable TensorFlow ({_first_line(error)}), expected it for conversion: "
            'install it with `pip install "her2edge[quantize]"`'
        ) from error
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeUnavailable(
            f"found Keras on {keras.backend.backend()}, expected TensorFlow: set KERAS_BACKEND=tensorflow"
        )
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return tf, ConverterError


def _reason(error: Exception, model: Any) -> str:
    """What the converter says, and the layers of the network that its message names."""
    text = str(error)
    named = [layer.name for layer in model.layers if re.search(rf"/{re.escape(layer.name)}(_\d+)?/", text)]
    where = f"layer {', '.join(dict.fromkeys(named))}: " if named else ""
    found = re.search(r"'[\w.]+' op [^\n]+", text)
    return where + (found[0] if found else _first_line(error))


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
