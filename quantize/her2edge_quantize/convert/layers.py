"""The Keras layers behind the operators of a FlatBuffer: their names, their kinds, which are in float."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from her2edge.errors import ModelError
from her2edge.runtime import Activations

Kind = Literal["squeeze-excite", "depth-wise", "head", "other"]
NAMED: tuple[Kind, ...] = ("squeeze-excite", "depth-wise", "head")
CONVERSIONS = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE"})
_HEAD = {"pool", "dense", "dense_bn", "dense_relu", "logits"}
_SQUEEZE_EXCITE = re.compile(r"(^|_)se_")  # se_reduce here, block1a_se_reduce in EfficientNet


def layer_of(tensor: str, layers: Collection[str], outputs: Mapping[str, str]) -> str:
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
    steps = [(step, layer_of(step.tensor, layers, network.outputs)) for step in network.operators]
    return {step.tensor: layer for step, layer in steps if kind_of(layer, step.kind) in NAMED}


def float_layers(converted: bytes, layers: Collection[str]) -> dict[str, str]:
    """Layers whose operator computes in float, by what it does; conversions of the values are not counted."""
    network = Activations(converted, 1)
    return {
        layer_of(step.tensor, layers, network.outputs): step.kind
        for step in network.operators
        if step.dtype.startswith("float") and step.kind not in CONVERSIONS
    }


def refuse_float(kinds: Mapping[str, str]) -> None:
    """The converter leaves in float, without a word, what has no integer kernel; raises ModelError.

    kinds: of operators by layer, see `float_layers`.
    """
    if kinds:
        named = ", ".join(f"{layer} ({kind})" for layer, kind in kinds.items())
        raise ModelError(
            f"found layers that cannot be quantised: {named}: expected int8 throughout; build the "
            "network without them, or use another scheme"
        )


def _known(segments: list[str], layers: Collection[str]) -> str | None:
    """The layer among the scopes of an operator: Keras adds a number to the names of a network in use."""
    for segment in segments:
        for name in (re.sub(r"_\d+$", "", segment), segment):
            if name in layers:
                return name
    return None
