"""LiteRT (ai-edge-litert): the default runtime. The only file that touches its interpreter.

`tflite_runtime.py` brings the same one under its former name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.extras import missing_package
from her2edge.files import foreign
from her2edge.memory import told
from her2edge.model.file import Model
from her2edge.model.manifest import Manifest
from her2edge.model.records import Output
from her2edge.runtime.adapter import Adapter, border_of
from her2edge.runtime.packing import InputWriter, input_shape, packed_shape
from her2edge.runtime.protocol import dequantize, dequantize_weights
from her2edge.tile import Pixels

REQUIREMENT = '"ai-edge-litert>=2.3"'


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


class LiteRTRuntime(Adapter):
    """LiteRT; package: the module with its `Interpreter`, None: the one that is installed.

    Raises RuntimeUnavailable where it cannot be used, ModelError where it refuses the FlatBuffer or the
    FlatBuffer is not what the manifest says.
    """

    title = "LiteRT"

    def __init__(self, model: Model, threads: int, *, package: Any = None) -> None:
        super().__init__(model.manifest)
        self._interpreter, self._input, self._outputs = self._open(model.flatbuffer, threads, package)
        _check(_tensors(self._input, self._outputs), model.manifest)
        self._stored = np.empty(input_shape(model.manifest.input), self._input["dtype"])

    def _infer(self, pixels: Pixels, names: tuple[str, ...]) -> list[NDArray[Any]]:
        """By copies: a profiler that looks at a frame keeps the views in it, and `invoke` refuses then."""
        self._writer.write(pixels, self._stored)
        self._interpreter.set_tensor(self._input["index"], self._stored)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._outputs[name]["index"]) for name in names]

    @classmethod
    def _open(
        cls, flatbuffer: bytes, threads: int, package: Any = None, *, keep_all: bool = False
    ) -> tuple[Any, dict[str, Any], dict[str, dict[str, Any]]]:
        """An interpreter, the details of its one input and of its outputs by name."""
        interpreter = cls._new_interpreter(package or cls._package(), flatbuffer, threads, keep_all)
        with foreign("the FlatBuffer", "a network with a signature of one input", ModelError):
            signature = interpreter.get_signature_runner()
            (pixels,) = signature.get_input_details().values()
            return interpreter, pixels, signature.get_output_details()

    @classmethod
    def _new_interpreter(cls, package: Any, flatbuffer: bytes, threads: int, keep_all: bool) -> Any:
        """An interpreter with its tensors allocated. From memory: a mapped file that shrinks is a SIGBUS."""
        settings = {}
        if keep_all:
            settings = {
                "experimental_op_resolver_type": package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                "experimental_preserve_all_tensors": True,
            }
        with foreign(f"{cls.title}: the FlatBuffer", "a network that it runs", ModelError):
            interpreter = package.Interpreter(model_content=flatbuffer, num_threads=threads, **settings)
            interpreter.allocate_tensors()
            return interpreter

    @staticmethod
    def _package() -> Any:
        try:
            with told("LiteRT"):
                import ai_edge_litert.interpreter as interpreter
        except ImportError as error:
            raise missing_package("LiteRT (ai-edge-litert)", REQUIREMENT) from error
        return interpreter


class CropRuntime(LiteRTRuntime):
    """A model on tiles of another size: convolutions and a mean take any, so that it answers crops as well.

    For training, never for results. Raises as LiteRTRuntime, ModelError as well where the network takes no
    such size.
    """

    def __init__(self, model: Model, threads: int, tile_px: int) -> None:
        super().__init__(model, threads)
        crop = msgspec.structs.replace(model.manifest.input, tile_px=tile_px)
        self._writer = InputWriter(crop)
        self._stored = np.empty(input_shape(crop), self._input["dtype"])
        with foreign(f"{self.title}: the network", f"one that takes crops of {tile_px} px", ModelError):
            self._interpreter.resize_tensor_input(self._input["index"], list(input_shape(crop)))
            self._interpreter.allocate_tensors()


@dataclass(frozen=True)
class Operator:
    """A step of the network: what it does ("CONV_2D"), its output tensor and that tensor's dtype."""

    kind: str
    tensor: str
    dtype: str


class Activations:
    """Every operator's output for a tile, to find where a network loses accuracy; not for results.

    Runs LiteRT's own kernels, without the delegate that keeps what lies inside it to itself.
    operators: in the order they run. outputs: tensor names of "logits" and "features".
    """

    def __init__(self, flatbuffer: bytes, threads: int) -> None:
        self._interpreter, self._input, outputs = LiteRTRuntime._open(flatbuffer, threads, keep_all=True)
        tensors = {detail["index"]: detail for detail in self._interpreter.get_tensor_details()}
        made = [(op["op_name"], tensors[op["outputs"][0]]) for op in self._interpreter._get_ops_details()]
        self._details = {str(detail["name"]): detail for _, detail in made}
        self.operators = tuple(
            Operator(kind, str(detail["name"]), np.dtype(detail["dtype"]).name) for kind, detail in made
        )
        self.outputs = {name: str(detail["name"]) for name, detail in outputs.items()}

    def run(self, pixels: Pixels) -> None:
        """Compute all tensors of (tile_px, tile_px, 3) uint8 RGB."""
        self._interpreter.set_tensor(self._input["index"], pixels[np.newaxis])
        self._interpreter.invoke()

    def read(self, name: str) -> NDArray[np.float32]:
        """The values of one operator's output after `run`, float32, in the tensor's own shape."""
        detail = self._details[name]
        return dequantize(self._interpreter.get_tensor(detail["index"]), _output(detail))


@dataclass(frozen=True, eq=False)
class Weights:
    """Those of an operator that sums, as numbers: what it does ("CONV_2D") and its kernel's tensor name.

    kernel: float32, (outputs, rows, columns, inputs) of a convolution, (1, rows, columns, channels) of a
    depth-wise one, (outputs, inputs) of a fully connected layer. bias: (outputs,) float32, None where none.
    """

    kind: str
    tensor: str
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32] | None


SUMS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def read_weights(flatbuffer: bytes) -> tuple[Weights, ...]:
    """Kernels and biases in the order they are used, whatever they are stored as.

    Raises ModelError for a FlatBuffer that LiteRT refuses, RuntimeUnavailable where LiteRT is not installed.
    """
    interpreter, _, _ = LiteRTRuntime._open(flatbuffer, threads=1, keep_all=True)
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    halves = {op["outputs"][0]: op["inputs"][0] for op in operators if op["op_name"] == "DEQUANTIZE"}

    def numbers(index: int) -> NDArray[np.float32]:
        stored = halves.get(index, index)  # float16 weights, which the graph makes float32
        form = tensors[stored]["quantization_parameters"]
        scales, zero_points, axis = form["scales"], form["zero_points"], form["quantized_dimension"]
        return dequantize_weights(interpreter.get_tensor(stored), scales, zero_points, int(axis))

    with foreign("the FlatBuffer", "a network with constant weights", ModelError):
        return tuple(
            Weights(
                op["op_name"],
                str(tensors[halves.get(kernel, kernel)]["name"]),
                numbers(kernel),
                numbers(bias[0]) if bias and bias[0] >= 0 else None,
            )
            for op in operators
            if op["op_name"] in SUMS
            for _, kernel, *bias in [list(op["inputs"])]
        )


def read_tensors(flatbuffer: bytes) -> Tensors:
    """What the FlatBuffer's signature says of its tensors; raises ModelError, RuntimeUnavailable."""
    _, pixels, outputs = LiteRTRuntime._open(flatbuffer, threads=1)
    return _tensors(pixels, outputs)


def answers(flatbuffer: bytes, inputs: Iterable[NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The stored values of every output, by name, for each stored input; raises ModelError."""
    interpreter, given, made = LiteRTRuntime._open(flatbuffer, threads=1)
    outputs = []
    with foreign("the FlatBuffer", "a network that LiteRT runs", ModelError):
        for stored in inputs:
            interpreter.set_tensor(given["index"], stored)
            interpreter.invoke()
            outputs.append({name: interpreter.get_tensor(output["index"]) for name, output in made.items()})
    return outputs


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


def _check(tensors: Tensors, manifest: Manifest) -> None:
    """Hold the FlatBuffer's tensors against the manifest."""
    tile = manifest.input
    expected = Tensors(
        tile.tile_px, tile.scale, tile.zero_point, border_of(manifest), manifest.logits, manifest.features
    )
    if tensors != expected:
        raise ModelError(f"the network's tensors are {tensors}, but the manifest says {expected}")
