"""LiteRT (ai-edge-litert): the default runtime. The only file that touches its interpreter."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.errors import InferenceError, ModelError, RuntimeUnavailable
from her2edge.manifest import Manifest, Output
from her2edge.model import Model
from her2edge.runtime.packing import InputWriter, packed_shape
from her2edge.runtime.protocol import dequantize
from her2edge.tile import Pixels


@dataclass(frozen=True)
class Tensors:
    """A FlatBuffer's tensors: input (1, tile_px, tile_px, 3) uint8 with its quantisation, two outputs.

    border: None; where the input takes packed tiles, see `her2edge.runtime.packing`, its zero point.
    """

    tile_px: int
    scale: float
    zero_point: int
    border: int | None
    logits: Output
    features: Output


class LiteRTRuntime:
    """One interpreter, one tile at a time; a lock makes calls from several threads wait in line.

    Raises RuntimeUnavailable where LiteRT is not installed, ModelError where the FlatBuffer is not what
    the manifest says.
    """

    name = "litert"

    def __init__(self, model: Model, threads: int) -> None:
        self._manifest = model.manifest
        self._interpreter, self._input, self._outputs = _open(model.flatbuffer, threads)
        _check(_tensors(self._input, self._outputs), model.manifest)
        self._writer = InputWriter(model.manifest.input)
        self._lock = threading.Lock()

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (3,) float32 logits out; raises InferenceError."""
        (logits,) = self._run(pixels, "logits")
        return dequantize(logits, self._manifest.logits)

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (rows, columns, channels) float32 out; InferenceError."""
        (features,) = self._run(pixels, "features")
        return dequantize(features, self._manifest.features)

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`logits` and `features` of one run; raises InferenceError."""
        logits, features = self._run(pixels, "logits", "features")
        return dequantize(logits, self._manifest.logits), dequantize(features, self._manifest.features)

    def _run(self, pixels: Pixels, *names: str) -> list[NDArray[Any]]:
        """The stored values of the named outputs, without the axis of the batch."""
        with self._lock:
            try:
                self._write(pixels)
                self._interpreter.invoke()
                return [self._interpreter.get_tensor(self._outputs[name]["index"])[0] for name in names]
            except (RuntimeError, ValueError) as error:
                # A traceback that somebody keeps would keep the view of `_write`, and stop the next run.
                cause = error.with_traceback(None)
                raise InferenceError(f"LiteRT failed on a tile: {_first_line(error)}") from cause

    def _write(self, pixels: Pixels) -> None:
        """Into the interpreter's own memory; the view is gone when this returns, as `invoke` demands."""
        self._writer.write(pixels, self._interpreter.tensor(self._input["index"])())


def read_tensors(flatbuffer: bytes) -> Tensors:
    """What the FlatBuffer's signature says of its tensors; raises ModelError, RuntimeUnavailable."""
    _, pixels, outputs = _open(flatbuffer, threads=1)
    return _tensors(pixels, outputs)


def answers(flatbuffer: bytes, inputs: Iterable[NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """The stored values of all outputs for each stored input of a FlatBuffer with one; raises ModelError."""
    interpreter = _interpreter(flatbuffer, threads=1)
    (given,), made = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    try:
        for stored in inputs:
            interpreter.set_tensor(given["index"], stored)
            interpreter.invoke()
            found.append([interpreter.get_tensor(output["index"]) for output in made])
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT failed on an input: {_first_line(error)}") from error
    return found


def _interpreter(flatbuffer: bytes, threads: int) -> Any:
    """An interpreter with its tensors allocated."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise RuntimeUnavailable(
            "found no LiteRT on this machine, expected the package ai-edge-litert: "
            'install it with `pip install "ai-edge-litert>=2.3"`'
        ) from error
    try:
        interpreter = Interpreter(model_content=flatbuffer, num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT refuses the FlatBuffer: {_first_line(error)}") from error
    return interpreter


def _open(flatbuffer: bytes, threads: int) -> tuple[Any, dict[str, Any], dict[str, dict[str, Any]]]:
    """An interpreter with its tensors allocated, the details of its one input and of its outputs by name."""
    interpreter = _interpreter(flatbuffer, threads)
    try:
        signature = interpreter.get_signature_runner()
        (pixels,) = signature.get_input_details().values()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the FlatBuffer has no usable signature: {_first_line(error)}") from error
    return interpreter, pixels, signature.get_output_details()


def _tensors(pixels: dict[str, Any], outputs: dict[str, dict[str, Any]]) -> Tensors:
    """A uint8 input without quantisation is cast by the graph: a stored value is its grey value."""
    if set(outputs) != {"logits", "features"}:
        raise ModelError(f"the network gives {sorted(outputs)}, expected logits and features")
    shape, dtype = _shape(pixels), np.dtype(pixels["dtype"]).name
    scale, zero_point = pixels["quantization"]
    logits, features = _output(outputs["logits"]), _output(outputs["features"])
    if len(shape) == 4 and shape == packed_shape(2 * shape[2]) and dtype == "int8":
        return Tensors(2 * shape[2], 1.0, 0, int(zero_point), logits, features)
    if len(shape) != 4 or shape != (1, shape[1], shape[1], 3) or dtype != "uint8":
        raise ModelError(f"the network takes {shape} {dtype}, expected (1, tile_px, tile_px, 3) uint8")
    if scale == 0:
        scale, zero_point = 1.0, 0
    return Tensors(shape[1], float(scale), int(zero_point), None, logits, features)


def _output(detail: dict[str, Any]) -> Output:
    name = np.dtype(detail["dtype"]).name
    if name not in ("float32", "int8", "uint8"):
        raise ModelError(f"the network gives {name} values, expected float32, int8 or uint8")
    scale, zero_point = detail["quantization"]
    return Output(shape=_shape(detail), dtype=name, scale=float(scale), zero_point=int(zero_point))


def _shape(detail: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in detail["shape"])


def _check(found: Tensors, manifest: Manifest) -> None:
    """Hold the FlatBuffer's tensors against the manifest."""
    said = manifest.input
    border = None if said.packing is UNSET else said.packing.border
    expected = Tensors(said.tile_px, said.scale, said.zero_point, border, manifest.logits, manifest.features)
    if found != expected:
        raise ModelError(f"the network's tensors are {found}, but the manifest says {expected}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
