"""The `fast` export: a portable int8 FlatBuffer whose stem takes tiles that the host has packed.

Only weights move. What stands before the stem, operators that treat each grey value by itself, becomes a
table of 256 values per channel, read off those operators themselves; the padding becomes the frame that the
packer draws; the 7x7 kernel, with a row and a column of zeros, is read as 4x1 over 48 channels, see
`her2edge.runtime.packing`. Scales and zero points stay, so every sum is the same integer as before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.model.records import Packing
from her2edge.runtime import answers, read_tensors
from her2edge.runtime.packing import CHANNELS, FRAME, ROWS, packed_shape
from her2edge_quantize.convert.edge.flatbuffer import Graph, parse, serialize

ELEMENTWISE = ("ADD", "MUL", "QUANTIZE", "SUB")
KERNEL = 7
PADDING = [[0, 0], [FRAME, FRAME], [FRAME, FRAME], [0, 0]]
_ADVICE = "expected the int8 conversion of a ResNet: leave this network portable"


@dataclass(frozen=True, eq=False)
class Packed:
    """A FlatBuffer whose input is packed, and what the manifest says of it."""

    flatbuffer: bytes
    packing: Packing


def pack_stem(portable: bytes) -> Packed:
    """The same network with a packed input.

    Raises ModelError where its stem is not that of a ResNet in int8, or is packed already.
    """
    model = parse(portable)
    if read_tensors(portable).border is not None:
        raise ModelError("found a FlatBuffer whose input is packed already, expected a portable one")
    graph = Graph(model)
    stem = _find_stem(graph)
    table = _grey_values(model, stem)
    border = _zero_point(graph.subgraph.tensors[stem.convolution.inputs[0]])
    _move(graph, stem)
    packing = Packing(layout="stem-7x7-2", table=table.tobytes(), border=border)
    return Packed(serialize(model), packing)


@dataclass(frozen=True, eq=False)
class _Stem:
    """The operators from the input on: some that treat each grey value by itself, PAD, the convolution."""

    before: list[Any]
    pad: Any
    convolution: Any


def _find_stem(graph: Graph) -> _Stem:
    before: list[Any] = []
    tensor = int(graph.subgraph.inputs[0])
    while (operator := graph.only_reader(tensor)) and graph.kind(operator) in ELEMENTWISE:
        before.append(operator)
        tensor = int(operator.outputs[0])
    if operator is None or graph.kind(operator) != "PAD":
        raise ModelError(f"found {_kind(graph, operator)} before the stem, {_ADVICE}")
    if graph.constant(operator.inputs[1], np.int32).tolist() != PADDING:
        raise ModelError(f"found padding other than {FRAME} before the stem, {_ADVICE}")
    convolution = graph.only_reader(operator.outputs[0])
    if convolution is None or not _is_stem(graph, convolution):
        raise ModelError(
            f"found {_kind(graph, convolution)} as the stem, not a 7x7 convolution of stride 2; {_ADVICE}"
        )
    return _Stem(before, operator, convolution)


def _kind(graph: Graph, operator: Any | None) -> str:
    return "a branch" if operator is None else graph.kind(operator)


def _is_stem(graph: Graph, operator: Any) -> bool:
    from ai_edge_litert.schema_py_generated import Padding, TensorType

    if graph.kind(operator) != "CONV_2D":
        return False
    options = operator.builtinOptions
    pixels, kernel = (graph.subgraph.tensors[tensor] for tensor in operator.inputs[:2])
    return (
        tuple(kernel.shape[1:]) == (KERNEL, KERNEL, 3)
        and (options.strideH, options.strideW) == (2, 2)
        and (options.dilationHFactor, options.dilationWFactor) == (1, 1)
        and options.padding == Padding.VALID
        and pixels.shape[1] == pixels.shape[2]
        and pixels.shape[1] % 2 == 0
        and pixels.type == kernel.type == TensorType.INT8
    )


def _zero_point(tensor: Any) -> int:
    return int(tensor.quantization.zeroPoint[0])


def _grey_values(model: Any, stem: _Stem) -> NDArray[np.int8]:
    """(3, 256): what the operators before the padding make of each grey value, by running just them."""
    small = copy.copy(model)
    small.subgraphs = [copy.copy(model.subgraphs[0])]
    graph = small.subgraphs[0]
    graph.operators, graph.outputs = stem.before, [stem.pad.inputs[0]]
    graph.tensors = list(graph.tensors)
    for tensor in {graph.inputs[0], *(operator.outputs[0] for operator in stem.before)}:
        graph.tensors[tensor] = copy.copy(graph.tensors[tensor])
        graph.tensors[tensor].shape = [1, 16, 16, 3]
        graph.tensors[tensor].shapeSignature = None
    small.signatureDefs = copy.deepcopy(model.signatureDefs)
    (signature,) = small.signatureDefs
    signature.outputs = signature.outputs[:1]
    signature.outputs[0].tensorIndex = graph.outputs[0]
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    (made,) = answers(serialize(small), [grey])[0].values()
    return np.ascontiguousarray(made.reshape(256, 3).T, dtype=np.int8)


def _move(graph: Graph, stem: _Stem) -> None:
    """Let the input tensor be what the stem reads, packed; its kernel goes with it."""
    tensors, convolution = graph.subgraph.tensors, stem.convolution
    given = int(graph.subgraph.inputs[0])
    pixels, stored, kernel = (tensors[index] for index in (given, *convolution.inputs[:2]))
    weights = graph.constant(convolution.inputs[1], np.int8)
    framed = np.pad(weights, ((0, 0), (0, 1), (0, 1), (0, 0)))
    pixels.shape, pixels.shapeSignature = list(packed_shape(int(pixels.shape[1]))), None
    pixels.type, pixels.quantization = stored.type, stored.quantization
    graph.new_constant(kernel, framed.reshape(len(weights), (KERNEL + 1) // ROWS, 1, CHANNELS))
    convolution.inputs = [given, *convolution.inputs[1:]]
    convolution.builtinOptions.strideH = convolution.builtinOptions.strideW = 1
    gone = {id(operator) for operator in (*stem.before, stem.pad)}
    graph.subgraph.operators = [operator for operator in graph.subgraph.operators if id(operator) not in gone]
    graph.drop_unused()
