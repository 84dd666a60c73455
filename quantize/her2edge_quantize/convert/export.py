"""Keras network to FlatBuffer.

fp32, fp16: uint8 pixels are cast inside the graph, so the input tensor is uint8 without quantisation
dynamic:    the same with int8 weights; activations stay float, their ranges are found tile by tile
int8:       full integer, per-channel weights, int8 outputs; the input is uint8 with scale 1.0 and
            zero point 0, so that the SDK hands raw RGB bytes through
int8-qat:   the same, of a network whose weights were trained for it (`her2edge_quantize.qat`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from her2edge.errors import ModelError, OptionError
from her2edge.model.records import Scheme
from her2edge.runtime import read_tensors
from her2edge.tile import Pixels, check_pixels
from her2edge_quantize.convert.converter import converter_of, require_tensorflow, samples
from her2edge_quantize.convert.layers import float_layers, refuse_float
from her2edge_quantize.convert.network import FEATURES, LOGITS, check_network, layer_names
from her2edge_quantize.options import INT8, SCHEMES


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
    given = (tensors.tile_px, tensors.scale, tensors.zero_point)
    if given != (tile_px, 1.0, 0):
        raise ModelError(f"found an input of (size, scale, zero point) {given}, expected ({tile_px}, 1.0, 0)")
    wanted = "int8" if scheme in INT8 else "float32"
    for name, output in ((LOGITS, tensors.logits), (FEATURES, tensors.features)):
        if output.dtype != wanted or (output.scale > 0) != (scheme in INT8):
            raise ModelError(f"found {name} as {output.dtype} with scale {output.scale}, expected {wanted}")
