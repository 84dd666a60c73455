"""What a FlatBuffer's signature says of its tensors, read by LiteRT itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from her2edge.errors import ModelError
from her2edge.manifest import Output


@dataclass(frozen=True)
class Tensors:
    """Input (1, tile_px, tile_px, 3) uint8 with its quantisation, and the two outputs."""

    tile_px: int
    scale: float
    zero_point: int
    logits: Output
    features: Output


def read_tensors(flatbuffer: bytes) -> Tensors:
    """Input and outputs of the default signature.

    A uint8 input without quantisation is cast by the graph: its stored value is its grey value, so scale
    1.0 and zero point 0. Raises ModelError for anything but one uint8 image in, `logits` and `features` out.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(model_content=flatbuffer, num_threads=1).get_signature_runner()
        inputs = list(runner.get_input_details().values())
        outputs = runner.get_output_details()
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"LiteRT refuses the FlatBuffer: {next(iter(str(error).splitlines()), '')}"
        ) from error
    if set(outputs) != {"logits", "features"}:
        raise ModelError(f"the network gives {sorted(outputs)}, expected logits and features")
    shapes = [(_shape(detail), np.dtype(detail["dtype"]).name) for detail in inputs]
    side = shapes[0][0][1] if shapes and len(shapes[0][0]) == 4 else 0
    if shapes != [((1, side, side, 3), "uint8")]:
        raise ModelError(f"the network takes {shapes}, expected one (1, tile_px, tile_px, 3) uint8 image")
    scale, zero_point = inputs[0]["quantization"]
    if scale == 0:
        scale, zero_point = 1.0, 0
    return Tensors(
        side, float(scale), int(zero_point), _output(outputs["logits"]), _output(outputs["features"])
    )


def _output(detail: dict[str, Any]) -> Output:
    name = np.dtype(detail["dtype"]).name
    if name not in ("float32", "int8", "uint8"):
        raise ModelError(f"the network gives {name} values, expected float32, int8 or uint8")
    scale, zero_point = detail["quantization"]
    return Output(shape=_shape(detail), dtype=name, scale=float(scale), zero_point=int(zero_point))


def _shape(detail: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in detail["shape"])
