"""Int8's rounding in the toolkit's own forms: quantizers, the configuration of a layer, the scheme.

The toolkit's own 8-bit scheme rounds elsewhere than the converter (its dense and depthwise kernels have one
scale for all channels, a dense layer's batch norm is rounded before its ReLU), so each layer gets its
configuration here.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from her2edge_quantize.qat.toolkit import tfmot

SMALLEST_RANGE = 1e-6  # of a layer that gives zero throughout: a scale must be above 0
quantization: Any = tfmot.quantization.keras


class ChannelQuantizer(quantization.quantizers.Quantizer):  # type: ignore[misc]
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
        largest = tf.maximum(largest, SMALLEST_RANGE)
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, -largest, largest, narrow_range=True
        )
        return tf.reshape(rounded, shape)

    def get_config(self) -> dict[str, Any]:
        return {}


class Int8(quantization.QuantizeConfig):  # type: ignore[misc]
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
        quantizer = quantization.quantizers.MovingAverageQuantizer(
            num_bits=8, per_axis=False, symmetric=False, narrow_range=False
        )
        return [quantizer] if self.output else []

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "output": self.output}


class Scheme(quantization.default_8bit.Default8BitQuantizeScheme):  # type: ignore[misc]
    """Rounds where the configurations say. Pixels need none: they are the integers 0..255."""

    def get_layout_transformer(self) -> Any:
        return _AsItIs()


class _AsItIs(quantization.QuantizeLayoutTransform):  # type: ignore[misc]
    def apply(self, model: Any, layer_quantize_map: Any) -> Any:
        return model, layer_quantize_map
