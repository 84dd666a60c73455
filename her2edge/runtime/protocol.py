"""What a runtime does, and the one place where stored tensor values become numbers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge.manifest import Output
from her2edge.model import Model
from her2edge.tile import Pixels

RUNTIMES = ("litert",)


class Runtime(Protocol):
    """Runs one model on one tile at a time; safe to call from several threads, one after the other."""

    name: str

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (3,) float32 logits in label order out."""

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (rows, columns, channels) float32 feature map out."""


def open_runtime(name: str, model: Model, threads: int) -> Runtime:
    """Start the named runtime on a model.

    Raises OptionError for an unknown name, RuntimeUnavailable where it is not installed, ModelError
    where the FlatBuffer is not what the manifest says.
    """
    if name not in RUNTIMES:
        raise OptionError(f"found runtime {name!r}, expected one of {', '.join(RUNTIMES)}")
    from her2edge.runtime.litert import LiteRTRuntime

    return LiteRTRuntime(model, threads)


def runtime_versions() -> dict[str, str]:
    """Installed runtimes and their versions, without importing them."""
    from importlib import metadata

    found = {}
    for package in ("ai-edge-litert", "openvino", "tflite-runtime"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def dequantize(stored: NDArray[Any], output: Output) -> NDArray[np.float32]:
    """Stored tensor values to numbers: scale * (q - zero_point); float tensors (scale 0) as they are."""
    if output.scale == 0:
        return np.array(stored, dtype=np.float32)
    shifted = stored.astype(np.float32) - np.float32(output.zero_point)
    return np.asarray(shifted * np.float32(output.scale), dtype=np.float32)
