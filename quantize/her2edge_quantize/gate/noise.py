"""Where a converted network departs from float32: the signal-to-noise ratio of each layer's output."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from her2edge.runtime import Activations
from her2edge.tile import Pixels
from her2edge_quantize.convert.layers import CONVERSIONS, Kind, kind_of, layer_of


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
    errors = []
    for name, operator in shared.items():
        layer = layer_of(name, layers, first.outputs)
        errors.append(Layer(layer, kind_of(layer, operator), operator, _decibels(power[name], noise[name])))
    return tuple(errors)


def _tensors(network: Activations) -> dict[str, str]:
    """Tensor names of a conversion by the names they have in the float32 one.

    Where an operator's result is converted back to float, its own tensor gets a digit more.
    """
    kinds = {step.tensor: step.kind for step in network.operators}
    tensors = {}
    for name in kinds:
        plain = name[:-1] if kinds.get(name[:-1]) == "DEQUANTIZE" else name
        if kinds[name] not in CONVERSIONS:
            tensors[plain] = name
    return tensors


def _decibels(power: float, noise: float) -> float | None:
    if noise == 0:
        return None
    return round(10 * math.log10(max(power, 1e-30) / noise), 2)
