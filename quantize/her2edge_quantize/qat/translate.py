"""A Keras 3 layer as the tf_keras layers that compute the same.

    SeparableConv2D                     -> DepthwiseConv2D, Conv2D of 1 x 1
    activation other than linear, relu  -> a layer of its own behind
    Normalization                       -> Rescaling by its mean and variance
    Dropout                             -> nothing: the twin is the network as it is used

Layers keep their names; a kind that is not in the table is refused by the name of its layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from her2edge.errors import ModelError
from her2edge_quantize.qat.toolkit import tf_keras

# What of a layer's configuration decides what it computes; activations, names and weights come apart.
_CARRIED: dict[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias"),
    "Dense": ("units", "use_bias"),
    "DepthwiseConv2D": (
        "kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "use_bias",
    ),
    "GlobalAveragePooling2D": ("keepdims",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "Multiply": (),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Rescaling": ("scale", "offset"),
    "Reshape": ("target_shape",),
    "ZeroPadding2D": ("padding",),
}  # fmt: skip
_FUSED = ("linear", "relu")  # activations that the toolkit quantises inside a convolution or dense layer


def translated(layer: Any, kind: str, config: Mapping[str, Any]) -> list[Any]:
    """The tf_keras layers that compute what `layer` computes."""
    name = config["name"]
    if config.get("data_format", "channels_last") != "channels_last":
        raise ModelError(f"layer {name!r} has the channels first, expected them last")
    if kind == "Dropout":
        return []
    if kind == "SeparableConv2D":
        depthwise = dict(config, name=f"{name}_depthwise", use_bias=False, activation="linear")
        pointwise = dict(config, kernel_size=1, strides=1, dilation_rate=1, padding="valid", groups=1)
        return [
            *translated(layer, "DepthwiseConv2D", depthwise),
            *translated(layer, "Conv2D", pointwise),
        ]
    if kind == "Normalization":
        return [tf_keras.layers.Rescaling(*_scale_and_offset(layer), name=name)]
    if kind not in _CARRIED:
        raise ModelError(
            f"layer {name!r} is a {kind}, expected one of {', '.join(sorted(_CARRIED))}, Dropout, "
            "Normalization, SeparableConv2D: quantisation-aware training knows no other"
        )
    options = {key: config[key] for key in _CARRIED[kind]}
    activation = "linear" if kind == "Activation" else config.get("activation", "linear")
    if not isinstance(activation, str) or not isinstance(options.get("activation", ""), str):
        raise ModelError(f"layer {name!r} has an activation of its own, expected one of Keras' by name")
    if activation == "linear":
        return [getattr(tf_keras.layers, kind)(name=name, **options)]
    if activation in _FUSED:
        return [getattr(tf_keras.layers, kind)(name=name, activation=activation, **options)]
    return [
        getattr(tf_keras.layers, kind)(name=name, **options),
        tf_keras.layers.Activation(activation, name=f"{name}_{activation}"),
    ]


def _scale_and_offset(layer: Any) -> tuple[Any, Any]:
    """Normalization, (x - mean) / max(sqrt(variance), epsilon), as x * scale + offset, each per channel."""
    mean, variance = np.ravel(layer.mean), np.ravel(layer.variance)
    scale = 1 / np.maximum(np.sqrt(variance), np.float32(1e-7))
    return scale.tolist(), (-mean * scale).tolist()
