"""TensorFlow's converter: the only door to it for all of this package."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, RuntimeUnavailable
from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.text import first_line
from her2edge.tile import Pixels
from her2edge_quantize.convert.network import check_network, two_outputs


def require_tensorflow() -> tuple[Any, type[Exception]]:
    """TensorFlow and its converter's error, without start-up chatter; raises RuntimeUnavailable.

    To be called before Keras is imported, which would import TensorFlow first.
    """
    quiet_tensorflow()
    with needs_extra("quantize"):
        import tensorflow as tf
        from tensorflow.lite.python.convert_phase import ConverterError
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeUnavailable(
            f"found Keras on {keras.backend.backend()}, expected TensorFlow: set KERAS_BACKEND=tensorflow"
        )
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return tf, ConverterError


@contextmanager
def converter_of(model: Any, stored: Any) -> Iterator[Any]:
    """A tf.lite.TFLiteConverter of the network with input pixels of the tf.DType `stored`.

    What goes wrong inside the block becomes a ModelError.
    """
    tf, converter_error = require_tensorflow()
    tile_px = check_network(model)
    try:
        module = _constant_module(tf, two_outputs(model), tf.TensorSpec((1, tile_px, tile_px, 3), stored))
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _without_absl():
            # "Statistics for quantized inputs": the ranges are verified later
            warnings.simplefilter("ignore")
            # nobody trains what is saved, and TensorFlow cannot save the gradient of EfficientNet's swish
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, {"serving_default": module.serve}, options)
            yield tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    except (converter_error, tf.errors.OpError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the network cannot be converted: {_reason(error, model)}") from error


@contextmanager
def _without_absl() -> Iterator[None]:
    """Only errors of absl's logger inside: that saved gradients are missing is what was asked for."""
    logger = logging.getLogger("absl")
    logger.addFilter(_is_error)  # TensorFlow sets the level back
    try:
        yield
    finally:
        logger.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def samples(tiles: list[Pixels]) -> Iterator[list[NDArray[np.float32]]]:
    """(1, t, t, 3) float32 network inputs, 0..255, that together span 0..255 exactly.

    tiles: (t, t, 3) uint8 RGB network inputs. The range of the input tensor is the smallest and the largest
    value seen. Real tiles seldom reach both ends, so the tile with the widest range comes once more,
    stretched linearly to 0..255: still tissue, and it makes the input's scale exactly 1.0 and its zero
    point 0.
    """
    for tile in tiles:
        yield [tile[np.newaxis].astype(np.float32)]
    widest = max(tiles, key=lambda tile: int(tile.max()) - int(tile.min())).astype(np.float32)
    stretched = np.rint((widest - widest.min()) * np.float32(255) / (widest.max() - widest.min()))
    yield [stretched[np.newaxis]]


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


def _reason(error: Exception, model: Any) -> str:
    """The converter's own reason, and the layers of the network that its message names."""
    text = str(error)
    named = [layer.name for layer in model.layers if re.search(rf"/{re.escape(layer.name)}(_\d+)?/", text)]
    where = f"layer {', '.join(dict.fromkeys(named))}: " if named else ""
    operator = re.search(r"'[\w.]+' op [^\n]+", text)
    return where + (operator[0] if operator else first_line(error))
