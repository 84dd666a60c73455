"""OpenVINO (extra `openvino`): the fast path on Intel. The only file that touches its interpreter.

It reads a .tflite from a path only: the verified bytes go to a file that only this user can open, gone when
the network is compiled. Its 8-bit sums saturate on processors without VNNI; the golden tiles tell, and the
model is refused there (docs.openvino.ai, "Saturation (overflow) Issue Workaround").
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, OutputWriteError
from her2edge.extras import needs_extra
from her2edge.model.file import Model
from her2edge.model.manifest import Manifest
from her2edge.runtime.adapter import PRECISION, Adapter, border_of
from her2edge.runtime.packing import input_shape
from her2edge.tile import Pixels

_LOWER = {"bf16": "BF16", "f16": "FP16"}


class OpenVINORuntime(Adapter):
    """One network compiled for the processor, with one request.

    precision: of the sums that the model leaves in float: "f32", or one of `precisions()`.
    package: the module openvino, None: the one that is installed.

    Raises RuntimeUnavailable where OpenVINO is not installed, ModelError where it refuses the FlatBuffer or
    the FlatBuffer is not what the manifest says, OutputWriteError where there is no room for its file.
    """

    title = "OpenVINO"

    def __init__(
        self, model: Model, threads: int, precision: str = PRECISION, *, package: Any = None
    ) -> None:
        super().__init__(model.manifest)
        self.precision = precision
        core = package.Core() if package else _core()
        network = _read(core, model.flatbuffer)
        self._places = _places(network, model.manifest)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # pinned, two interpreters would share the first core
        }
        try:
            self._request = core.compile_model(network, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot compile the FlatBuffer: {_last_line(error)}") from error

    def _infer(self, pixels: Pixels, names: tuple[str, ...]) -> list[NDArray[Any]]:
        self._writer.write(pixels, self._request.get_input_tensor().data)
        self._request.infer(share_outputs=True)
        return [self._request.get_output_tensor(self._places[name]).data.copy() for name in names]


def precisions(package: Any = None) -> tuple[str, ...]:
    """The precisions this processor computes in, "f32" first; package and errors as for OpenVINORuntime."""
    core = package.Core() if package else _core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return (PRECISION, *(name for name, theirs in _LOWER.items() if theirs in able))


@cache
def _core() -> Any:
    """The process's one Core, never given up.

    Its processor plugin gives the thread that loads it another stack for signals (AVX-512), and takes that
    memory away when it goes, from whatever thread: the next signal, a Ctrl-C, was a segmentation fault.
    """
    with needs_extra("openvino", "use the runtime litert"):
        import openvino
    return openvino.Core()


def _read(core: Any, flatbuffer: bytes) -> Any:
    """The network, from a private file that is gone when this returns."""
    try:
        with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:  # 0700
            path = Path(folder) / "model.tflite"
            with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(flatbuffer)
            try:
                return core.read_model(path)
            except RuntimeError as error:
                reason = _last_line(error).replace(str(path), "model.tflite")
                raise ModelError(f"OpenVINO refuses the FlatBuffer: {reason}") from error
    except OSError as error:
        raise OutputWriteError(
            f"OpenVINO needs a temporary file for the model, which cannot be written ({error.strerror}): "
            "free some space, or set TMPDIR to another folder"
        ) from error


def _places(network: Any, manifest: Manifest) -> dict[str, int]:
    """Where logits and features are among the outputs: OpenVINO keeps no signature, but their shapes differ.

    Raises ModelError where input and outputs are not what the manifest says.
    """
    wanted = [(input_shape(manifest.input), "uint8" if border_of(manifest) is None else "int8")]
    outputs = {"logits": manifest.logits, "features": manifest.features}
    forms = {name: (output.shape, output.dtype) for name, output in outputs.items()}
    given, made = ([_form(port) for port in ports] for ports in (network.inputs, network.outputs))
    if given != wanted or sorted(made) != sorted(forms.values()) or len(set(made)) != len(made):
        raise ModelError(
            f"OpenVINO reads a network from {given} to {made}, but the manifest says from {wanted} to "
            f"{list(forms.values())}"
        )
    return {name: made.index(form) for name, form in forms.items()}


def _form(port: Any) -> tuple[tuple[int, ...], str]:
    if port.partial_shape.is_dynamic:
        return (), "dynamic"
    return tuple(int(n) for n in port.shape), np.dtype(port.element_type.to_dtype()).name


def _last_line(error: Exception) -> str:
    """OpenVINO names its source files first and the reason last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
