"""A Keras 3 network as the same network in tf_keras, layer by layer, and its weights there and back.

The toolkit quantises tf_keras layers of the kinds it knows, so each layer is put in terms of those: see
`translate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge_quantize.qat.toolkit import tf_keras
from her2edge_quantize.qat.translate import translated


@dataclass(frozen=True, eq=False)
class Twin:
    """model: tf_keras, same input and logits.

    holders: layer of the network -> those of `model` with its weights, in order.
    """

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
        layers = translated(network.get_layer(name), kind, entry["config"])
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
