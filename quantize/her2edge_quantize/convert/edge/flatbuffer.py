"""A TFLite FlatBuffer as objects and back, by the schema that comes with LiteRT."""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.files import foreign

IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # of every buffer, as the schema asks (`force_align`); its Python code does not


def parse(flatbuffer: bytes) -> Any:
    """The schema's ModelT; raises ModelError where the bytes are none with one subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    if flatbuffer[4:8] != IDENTIFIER:
        raise ModelError("found bytes that are no TFLite FlatBuffer, expected one that `convert` made")
    with foreign("the FlatBuffer", "one that `convert` made: convert the network again", ModelError):
        model = schema.ModelT.InitFromPackedBuf(bytearray(flatbuffer), 0)
    if not model.subgraphs or len(model.subgraphs) != 1:
        raise ModelError(f"found {len(model.subgraphs or ())} subgraphs, expected one")
    return model


def serialize(model: Any) -> bytes:
    """The FlatBuffer of a ModelT; the same model gives the same bytes."""
    builder = _AlignedBuilder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802 - its name
        return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))


class Graph:
    """The one subgraph of a ModelT, with the questions a rewrite asks."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model = model
        self.subgraph = model.subgraphs[0]
        self._names = {value: name for name, value in vars(schema.BuiltinOperator).items()}

    def kind(self, operator: Any) -> str:
        """The operator's name in the schema, such as CONV_2D."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(self._names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown"))

    def kinds(self) -> list[str]:
        """The names of all operators, in order."""
        return [self.kind(operator) for operator in self.subgraph.operators]

    def only_reader(self, tensor: int) -> Any | None:
        """The operator that reads a tensor, None where none, several, or the caller too read it."""
        readers = [operator for operator in self.subgraph.operators if tensor in operator.inputs]
        return readers[0] if len(readers) == 1 and tensor not in self.subgraph.outputs else None

    def constant(self, tensor: int, dtype: Any) -> NDArray[Any]:
        """The values of a constant tensor; raises ModelError where it is none."""
        stored = self.subgraph.tensors[tensor]
        data = self.model.buffers[stored.buffer].data
        if data is None or len(data) == 0:
            raise ModelError("found a computed tensor, expected a constant: convert the network again")
        values: NDArray[Any] = np.asarray(data, dtype=np.uint8).view(dtype).reshape(stored.shape)
        return values

    def new_constant(self, tensor: Any, values: NDArray[Any]) -> None:
        """Give a tensor other values, in a buffer of its own."""
        buffer = copy.copy(self.model.buffers[tensor.buffer])
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        tensor.buffer, tensor.shape = len(self.model.buffers), list(values.shape)
        tensor.shapeSignature = None
        self.model.buffers.append(buffer)

    def drop_unused(self) -> None:
        """Take out tensors that nothing names any more, and the bytes of buffers that no tensor does."""
        graph = self.subgraph
        named = {*graph.inputs, *graph.outputs}
        for operator in graph.operators:
            named |= {*operator.inputs, *operator.outputs}
        place = {old: new for new, old in enumerate(sorted(int(t) for t in named if t >= 0))} | {-1: -1}
        graph.tensors = [graph.tensors[old] for old in place if old >= 0]
        graph.inputs, graph.outputs = ([place[int(t)] for t in ts] for ts in (graph.inputs, graph.outputs))
        for operator in graph.operators:
            operator.inputs = [place[int(t)] for t in operator.inputs]
            operator.outputs = [place[int(t)] for t in operator.outputs]
        for signature in self.model.signatureDefs or ():
            for end in (*signature.inputs, *signature.outputs):
                end.tensorIndex = place[int(end.tensorIndex)]
        kept = {tensor.buffer for tensor in graph.tensors}
        kept |= {entry.buffer for entry in self.model.metadata or ()}
        for index, buffer in enumerate(self.model.buffers):
            if index not in kept:
                buffer.data = None
