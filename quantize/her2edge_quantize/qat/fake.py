"""Fake quantisation: the twin with int8's rounding in it, where the converter will round.

kernels      per output channel, symmetric, -127..127
activations  per tensor; the ranges are those of calibration tiles, see `settle`. None between a layer and
             what is merged into it (batch norm, ReLU) or the concatenation it goes to, and none where values
             only move

The toolkit's own 8-bit scheme rounds elsewhere (its dense and depthwise kernels have one scale for all
channels, a dense layer's batch norm is rounded before its ReLU), so each layer gets its configuration here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from her2edge.errors import ModelError
from her2edge.tile import Pixels
from her2edge_quantize.convert.export import samples
from her2edge_quantize.qat.distil import freeze_batch_norms
from her2edge_quantize.qat.toolkit import tf_keras, tfmot

_KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}
_MOVE_ONLY = ("MaxPooling2D", "Reshape", "ZeroPadding2D")
_NOT_ROUNDED = ("linear", "sigmoid")  # of Activation: nothing happens; the converter's range is fixed, 0..1
_SMALLEST_RANGE = 1e-6  # of a layer that gives zero throughout: a scale must be above 0
_quantization: Any = tfmot.quantization.keras


class ChannelQuantizer(_quantization.quantizers.Quantizer):  # type: ignore[misc]
    """Rounds a kernel to -127..127 steps of each output channel's largest weight; has no state."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:  # noqa: ARG002
        """(rows, columns, in, out), (rows, columns, channels, multiplier) or (in, out) float32."""
        shape = inputs.shape
        depthwise = len(shape) == 4 and shape[3] == 1
        channels = shape[2] if depthwise else shape[-1]
        flat = tf.reshape(inputs, (-1, channels))
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(flat), axis=0))
        largest = tf.maximum(largest, _SMALLEST_RANGE)
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, -largest, largest, narrow_range=True
        )
        return tf.reshape(rounded, shape)

    def get_config(self) -> dict[str, Any]:
        return {}


class Int8(_quantization.QuantizeConfig):  # type: ignore[misc]
    """The toolkit's form of: round this kernel (its attribute's name), round this layer's output."""

    def __init__(self, kernel: str | None, output: bool) -> None:
        self.kernel = kernel
        self.output = output

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        return [(getattr(layer, self.kernel), ChannelQuantizer())] if self.kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        quantizer = _quantization.quantizers.MovingAverageQuantizer(
            num_bits=8, per_axis=False, symmetric=False, narrow_range=False
        )
        return [quantizer] if self.output else []

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "output": self.output}


class _AsItIs(_quantization.QuantizeLayoutTransform):  # type: ignore[misc]
    def apply(self, model: Any, layer_quantize_map: Any) -> Any:
        return model, layer_quantize_map


class _Scheme(_quantization.default_8bit.Default8BitQuantizeScheme):  # type: ignore[misc]
    """Rounds where the configurations say. Pixels need none: they are the integers 0..255."""

    def get_layout_transformer(self) -> Any:
        return _AsItIs()


def fake_quantised(model: Any) -> Any:
    """A tf_keras model of the twin's layers, named quant_NAME, with int8's rounding; see `settle`.

    Raises ModelError where the toolkit cannot quantise the model.
    """

    def annotated(layer: Any) -> Any:
        if isinstance(layer, tf_keras.layers.InputLayer):
            return layer
        kind = type(layer).__name__
        config = Int8(_KERNELS.get(kind), _is_rounded(layer))
        return _quantization.quantize_annotate_layer(layer, config)

    try:
        with _quantization.quantize_scope({"Int8": Int8, "ChannelQuantizer": ChannelQuantizer}):
            clone = tf_keras.models.clone_model(model, clone_function=annotated)
            clone.set_weights(model.get_weights())
            quantised = _quantization.quantize_apply(clone, scheme=_Scheme())
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

    found = np.stack([limits(tile) for (tile,) in samples(list(tiles))])
    low = np.minimum(found[:, :, 0].min(axis=0), 0.0)
    high = np.maximum(found[:, :, 1].max(axis=0), low + _SMALLEST_RANGE)
    for (smallest, largest), a, b in zip(rounded.values(), low, np.maximum(high, 0.0), strict=True):
        smallest.assign(a)
        largest.assign(b)


def float_weights(quantised: Any, model: Any) -> None:
    """Copy the trained weights, unrounded, into the float model that was quantised."""
    for layer in model.layers:
        if layer.weights:
            found = _variables(quantised.get_layer(f"quant_{layer.name}"))
            for weight in layer.weights:
                weight.assign(found[_last(weight)])


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
