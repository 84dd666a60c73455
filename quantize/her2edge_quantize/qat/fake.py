"""Fake quantisation: the twin with int8's rounding in it, where the converter will round.

kernels      per output channel, symmetric, -127..127
activations  per tensor; the ranges are those of calibration tiles, see `settle`. None between a layer and
             what is merged into it (batch norm, ReLU) or the concatenation it goes to, and none where values
             only move
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from her2edge.errors import ModelError
from her2edge.tile import Pixels
from her2edge_quantize.convert.converter import samples
from her2edge_quantize.qat.distil import freeze_batch_norms
from her2edge_quantize.qat.quantizers import SMALLEST_RANGE, ChannelQuantizer, Int8, Scheme, quantization
from her2edge_quantize.qat.toolkit import tf_keras

_KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}
_MOVE_ONLY = ("MaxPooling2D", "Reshape", "ZeroPadding2D")
_NOT_ROUNDED = ("linear", "sigmoid")  # of Activation: nothing happens; the converter's range is fixed, 0..1


def fake_quantised(model: Any) -> Any:
    """A tf_keras model of the twin's layers, named quant_NAME, with int8's rounding; see `settle`.

    Raises ModelError where the toolkit cannot quantise the model.
    """

    def annotated(layer: Any) -> Any:
        if isinstance(layer, tf_keras.layers.InputLayer):
            return layer
        kind = type(layer).__name__
        config = Int8(_KERNELS.get(kind), _is_rounded(layer))
        return quantization.quantize_annotate_layer(layer, config)

    try:
        with quantization.quantize_scope({"Int8": Int8, "ChannelQuantizer": ChannelQuantizer}):
            clone = tf_keras.models.clone_model(model, clone_function=annotated)
            clone.set_weights(model.get_weights())
            quantised = quantization.quantize_apply(clone, scheme=Scheme())
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the network cannot be trained for int8: {error}") from error
    freeze_batch_norms(quantised)
    return quantised


def settle(quantised: Any, model: Any, tiles: Iterable[Pixels]) -> None:
    """Set the ranges of all activations to the smallest and largest value the float `model` gives.

    tiles: (t, t, 3) uint8 RGB network inputs. The toolkit begins at -6..6 and would need thousands of steps.
    """
    rounded = {layer: _ranges(layer) for layer in quantised.layers if _ranges(layer)}
    values = tf_keras.Model(model.inputs, [model.get_layer(layer.layer.name).output for layer in rounded])

    @tf.function  # type: ignore[untyped-decorator]
    def limits(pixels: Any) -> Any:
        outputs = tf.nest.flatten(values(pixels, training=False))
        return tf.stack([(tf.reduce_min(value), tf.reduce_max(value)) for value in outputs])

    ends = np.stack([limits(tile) for (tile,) in samples(list(tiles))])
    low = np.minimum(ends[:, :, 0].min(axis=0), 0.0)
    high = np.maximum(ends[:, :, 1].max(axis=0), low + SMALLEST_RANGE)
    for (smallest, largest), a, b in zip(rounded.values(), low, np.maximum(high, 0.0), strict=True):
        smallest.assign(a)
        largest.assign(b)


def float_weights(quantised: Any, model: Any) -> None:
    """Copy the trained weights, unrounded, into the float model that was quantised."""
    for layer in model.layers:
        if layer.weights:
            trained = _variables(quantised.get_layer(f"quant_{layer.name}"))
            for weight in layer.weights:
                weight.assign(trained[_last(weight)])


def _ranges(layer: Any) -> list[Any]:
    """The variables of the smallest and largest value of a layer's rounded output; none if not rounded."""
    ends = _variables(layer)
    return [ends[name] for name in ("output_min:0", "output_max:0") if name in ends]


def _variables(layer: Any) -> dict[str, Any]:
    return {_last(weight): weight for weight in layer.weights}


def _last(weight: Any) -> str:
    return str(weight.name).rsplit("/", 1)[-1]


def _is_rounded(layer: Any) -> bool:
    """Whether the converter rounds here: not where values only move or the layer behind takes this one in."""
    kind = type(layer).__name__
    if kind in _MOVE_ONLY or (kind == "Activation" and layer.activation.__name__ in _NOT_ROUNDED):
        return False
    behind = [node.outbound_layer for node in layer.outbound_nodes]
    if len(behind) != 1:
        return True
    after = type(behind[0]).__name__
    if after == "Activation" and behind[0].activation.__name__ == "relu":
        after = "ReLU"
    merged = {*_KERNELS, "BatchNormalization", "Add"}
    return not (
        after == "Concatenate"
        or (after == "BatchNormalization" and kind in _KERNELS)
        or (after == "ReLU" and kind in merged)
    )
