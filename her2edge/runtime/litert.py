"""LiteRT (ai-edge-litert): the default runtime. The only file that touches its interpreter."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import InferenceError, ModelError, RuntimeUnavailable
from her2edge.manifest import Output
from her2edge.model import Model
from her2edge.runtime.protocol import dequantize
from her2edge.tile import Pixels


class LiteRTRuntime:
    """One interpreter, one tile at a time; a lock makes calls from several threads wait in line."""

    name = "litert"

    def __init__(self, model: Model, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise RuntimeUnavailable(
                "found no LiteRT on this machine, expected the package ai-edge-litert: "
                'install it with `pip install "ai-edge-litert>=2.3"`'
            ) from error
        self._manifest = model.manifest
        try:
            self._interpreter = Interpreter(model_content=model.flatbuffer, num_threads=threads)
            self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner()
            (self._input,) = signature.get_input_details().values()
            self._outputs = signature.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"LiteRT refuses the model: {_first_line(error)}") from error
        self._check()
        self._lock = threading.Lock()

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (3,) float32 logits out; raises InferenceError."""
        return self._run(pixels, "logits", self._manifest.logits)

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (rows, columns, channels) float32 out; InferenceError."""
        return self._run(pixels, "features", self._manifest.features)

    def _run(self, pixels: Pixels, name: str, output: Output) -> NDArray[np.float32]:
        with self._lock:
            try:
                self._interpreter.set_tensor(self._input["index"], pixels[np.newaxis])
                self._interpreter.invoke()
                stored = self._interpreter.get_tensor(self._outputs[name]["index"])[0]
            except (RuntimeError, ValueError) as error:
                raise InferenceError(f"LiteRT failed on a tile: {_first_line(error)}") from error
        return dequantize(stored, output)

    def _check(self) -> None:
        """Hold the FlatBuffer's tensors against the manifest."""
        wanted = self._manifest.input
        found = _describe(self._input)
        expected: tuple[object, ...] = (
            (1, wanted.tile_px, wanted.tile_px, 3),
            "uint8",
            wanted.scale,
            wanted.zero_point,
        )
        if found[2] == 0:  # uint8 that the graph itself casts: a stored value is its grey value
            found = (*found[:2], 1.0, 0)
        if found != expected:
            raise ModelError(f"the network takes {found}, but the manifest says {expected}")
        for name, output in (("logits", self._manifest.logits), ("features", self._manifest.features)):
            if name not in self._outputs:
                raise ModelError(f"the network gives {sorted(self._outputs)}, expected logits and features")
            found = _describe(self._outputs[name])
            expected = (output.shape, output.dtype, output.scale, output.zero_point)
            if found != expected:
                raise ModelError(f"the network's {name} are {found}, but the manifest says {expected}")


def _describe(detail: dict[str, Any]) -> tuple[tuple[int, ...], str, float, int]:
    """(shape, dtype, scale, zero point) of a tensor."""
    scale, zero_point = detail["quantization"]
    shape = tuple(int(n) for n in detail["shape"])
    return shape, np.dtype(detail["dtype"]).name, float(scale), int(zero_point)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
