"""A Keras 3 network as the same network in tf_keras, layer by layer, and its weights there and back.

The toolkit quantises tf_keras layers of the kinds it knows, so what it does not know is said in those:

    SeparableConv2D                     -> DepthwiseConv2D, Conv2D of 1 x 1
    activation other than linear, relu  -> a layer of its own behind
    Normalization                       -> Rescaling by its mean and variance
    Dropout                             -> nothing: the twin is the network as it is used

Layers keep their names; a kind that is not in the table is refused by the name of its layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class Twin:
    """model: tf_keras, same input and logits. holders: layer of the network -> those of `model` with its
    weights, in order."""

    model: Any
    holders: Mapping[str, tuple[str, ...]]


def twin_of(network: Any, tile_px: int | None = None) -> Twin:
    """The tf_keras twin of a functional keras.Model, weights copied: equal outputs but for rounding.

    tile_px: side of the tiles the twin takes, pixels; None means the network's.
    Raises ModelError naming the layer that cannot be translated, RuntimeUnavailable without the toolkit.
    """
    config = network.get_config()
    tensors: dict[str, Any] = {}
    holders: dict[str, tuple[str, ...]] = {}
    inputs = []
    for entry in config["layers"]:
        name, kind = entry["name"], entry["class_name"]
        if kind == "InputLayer":
            shape = entry["config"]["batch_shape"][1:]
            tensors[name] = tf_keras.Input((tile_px, tile_px, 3) if tile_px else shape, name=name)
            inputs.append(tensors[name])
            continue
        sources = list(_sources(entry["inbound_nodes"]))
        if len(entry["inbound_nodes"]) != 1 or not sources:
            raise ModelError(f"layer {name!r} is used {len(entry['inbound_nodes'])} times, expected once")
        x = [tensors[source] for source in sources]
        value = x[0] if len(x) == 1 else x
        layers = _translated(network.get_layer(name), kind, entry["config"])
        for layer in layers:
            value = layer(value)
        tensors[name] = value
        holders[name] = tuple(layer.name for layer in layers if layer.weights)
    (output,) = _names(config["output_layers"])
    twin = Twin(tf_keras.Model(inputs, tensors[output], name=network.name), holders)
    for name in holders:
        _set_weights(twin, name, network.get_layer(name).get_weights())
    return twin


def copy_back(twin: Twin, network: Any) -> None:
    """Set the network's weights to those of its twin, of any tile size."""
    for name, holders in twin.holders.items():
        if holders:
            values = [value for holder in holders for value in twin.model.get_layer(holder).get_weights()]
            network.get_layer(name).set_weights(values)


def _set_weights(twin: Twin, name: str, values: list[NDArray[Any]]) -> None:
    layers = [twin.model.get_layer(holder) for holder in twin.holders[name]]
    if not layers:
        return
    expected = [tuple(weight.shape) for layer in layers for weight in layer.weights]
    if [value.shape for value in values] != expected:
        raise ModelError(
            f"layer {name!r} holds weights of shapes {[value.shape for value in values]}, its twin expects "
            f"{expected}"
        )
    for layer in layers:
        count = len(layer.weights)
        layer.set_weights(values[:count])
        values = values[count:]


def _translated(layer: Any, kind: str, config: Mapping[str, Any]) -> list[Any]:
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
            *_translated(layer, "DepthwiseConv2D", depthwise),
            *_translated(layer, "Conv2D", pointwise),
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


def _scale_and_offset(layer: Any) -> tuple[list[float], list[float]]:
    """Normalization, (x - mean) / max(sqrt(variance), epsilon), as x * scale + offset."""
    mean, variance = np.ravel(layer.mean), np.ravel(layer.variance)
    scale = 1 / np.maximum(np.sqrt(variance), np.float32(1e-7))
    return scale.tolist(), (-mean * scale).tolist()


def _sources(nodes: Any) -> Iterator[str]:
    """Names of the layers whose outputs a node of Keras 3's configuration takes, in order."""
    if isinstance(nodes, Mapping):
        if nodes.get("class_name") == "__keras_tensor__":
            yield nodes["config"]["keras_history"][0]
        else:
            for value in nodes.values():
                yield from _sources(value)
    elif isinstance(nodes, list | tuple):
        for value in nodes:
            yield from _sources(value)


def _names(outputs: Any) -> list[str]:
    """Layer names in Keras 3's `output_layers`: [name, node, tensor], or a list or dict of them."""
    if isinstance(outputs, Mapping):
        return [name for value in outputs.values() for name in _names(value)]
    if outputs and isinstance(outputs[0], str):
        return [outputs[0]]
    return [name for value in outputs for name in _names(value)]
