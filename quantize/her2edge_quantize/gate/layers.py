"""Where a converted network departs from float32: the signal-to-noise ratio of each layer's output."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from her2edge.runtime import Activations
from her2edge.tile import Pixels

Kind = Literal["squeeze-excite", "depth-wise", "head", "other"]
NAMED: tuple[Kind, ...] = ("squeeze-excite", "depth-wise", "head")
_CONVERSIONS = {"CAST", "DEQUANTIZE", "QUANTIZE"}
_HEAD = {"pool", "dense", "dense_bn", "dense_relu", "logits"}
_SQUEEZE_EXCITE = re.compile(r"(^|_)se_")  # se_reduce here, block1a_se_reduce in EfficientNet


@dataclass(frozen=True)
class Layer:
    """One operator: the Keras layers it computes, and its output beside that of the float32 conversion.

    snr_db: power of the float32 output over that of the difference, decibels; every error made before this
    layer is in it. None: no difference at all.
    """

    name: str
    kind: Kind
    operator: str
    snr_db: float | None


def layer_errors(
    float32: bytes, converted: bytes, tiles: Iterable[Pixels], layers: Collection[str], threads: int = 2
) -> tuple[Layer, ...]:
    """Run two FlatBuffers of one network on (t, t, 3) uint8 RGB network inputs; layers: Keras' names.

    Operators that only one of the two has (QUANTIZE, DEQUANTIZE) are left out. None for float32 itself.
    """
    if float32 == converted:
        return ()
    first, second = (Activations(flatbuffer, threads) for flatbuffer in (float32, converted))
    tensors = _tensors(second)
    shared = {step.tensor: step.kind for step in first.operators if step.tensor in tensors}
    power = dict.fromkeys(shared, 0.0)
    noise = dict.fromkeys(shared, 0.0)
    for tile in tiles:
        first.run(tile)
        second.run(tile)
        for name in shared:
            signal = first.read(name).astype(np.float64)
            power[name] += float(np.sum(signal**2))
            noise[name] += float(np.sum((signal - second.read(tensors[name])) ** 2))
    found = []
    for name, operator in shared.items():
        layer = layer_of(name, layers, first.outputs)
        found.append(Layer(layer, kind_of(layer, operator), operator, _decibels(power[name], noise[name])))
    return tuple(found)


def layer_of(tensor: str, layers: Collection[str], outputs: dict[str, str]) -> str:
    """The Keras layers behind a tensor such as "network/conv_1/Relu;network/bn_1/add", joined by " + "."""
    for name, output in outputs.items():
        if tensor == output:
            return name
    parts = [re.split(r"/", part) for part in tensor.split(";")]
    names = [_known(part, layers) for part in parts]
    return " + ".join(dict.fromkeys(name for name in names if name)) or tensor


def kind_of(layer: str, operator: str) -> Kind:
    """What the report names a layer as."""
    names = layer.split(" + ")
    if any(_SQUEEZE_EXCITE.search(name) for name in names):
        return "squeeze-excite"
    if operator == "DEPTHWISE_CONV_2D" and not all(name.endswith("_even") for name in names):
        return "depth-wise"  # `_even`: the edge graph's subsampling, weights of one, nothing to lose
    return "head" if set(names) & _HEAD else "other"


def named_tensors(float32: bytes, layers: Collection[str]) -> dict[str, str]:
    """Tensors of the float32 conversion that the report names, and their layers: what may stay in float."""
    network = Activations(float32, 1)
    found = [(step, layer_of(step.tensor, layers, network.outputs)) for step in network.operators]
    return {step.tensor: layer for step, layer in found if kind_of(layer, step.kind) in NAMED}


def float_layers(converted: bytes, layers: Collection[str]) -> dict[str, str]:
    """Layers whose operator computes in float, by what it does; conversions of the values are not counted."""
    network = Activations(converted, 1)
    return {
        layer_of(step.tensor, layers, network.outputs): step.kind
        for step in network.operators
        if step.dtype.startswith("float") and step.kind not in _CONVERSIONS
    }


def _tensors(network: Activations) -> dict[str, str]:
    """Tensor names of a conversion by what the float32 one calls them.

    Where an operator's result is converted back to float, its own tensor gets a digit more.
    """
    kinds = {step.tensor: step.kind for step in network.operators}
    found = {}
    for name in kinds:
        plain = name[:-1] if kinds.get(name[:-1]) == "DEQUANTIZE" else name
        if kinds[name] not in _CONVERSIONS:
            found[plain] = name
    return found


def _known(segments: list[str], layers: Collection[str]) -> str | None:
    """The layer among the scopes of an operator: Keras adds a number to the names of a network in use."""
    for segment in segments:
        for name in (re.sub(r"_\d+$", "", segment), segment):
            if name in layers:
                return name
    return None


def _decibels(power: float, noise: float) -> float | None:
    if noise == 0:
        return None
    return round(10 * math.log10(max(power, 1e-30) / noise), 2)
