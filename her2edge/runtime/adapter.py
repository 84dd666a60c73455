"""What every adapter shares: tiles wait in line, stored values become numbers, failures become ours."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.errors import InferenceError
from her2edge.memory import told
from her2edge.model.manifest import Manifest
from her2edge.runtime.packing import InputWriter
from her2edge.runtime.protocol import dequantize, mean_stored
from her2edge.text import first_line
from her2edge.tile import Pixels

PRECISION = "f32"  # in which an adapter does the sums that a model leaves in float


class Adapter(ABC):
    """A `Runtime` on one interpreter, made from a model's bytes; a lock makes callers wait in line."""

    title: str
    precision = PRECISION

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._writer = InputWriter(manifest.input)
        self._lock = threading.Lock()

    @abstractmethod
    def _infer(self, pixels: Pixels, names: tuple[str, ...]) -> list[NDArray[Any]]:
        """Copies of the stored values of the named outputs; raises RuntimeError or ValueError."""

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (labels,) float32 logits out; raises InferenceError."""
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

    def logits_and_mean(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`logits`, and the (channels,) float32 mean of `features`, of one run; raises InferenceError."""
        logits, features = self._run(pixels, "logits", "features")
        return dequantize(logits, self._manifest.logits), mean_stored(features, self._manifest.features)

    def _run(self, pixels: Pixels, *names: str) -> list[NDArray[Any]]:
        """The stored values of the named outputs, without the axis of the batch."""
        with self._lock:
            try:
                with told("the network"):
                    return [stored[0] for stored in self._infer(pixels, names)]
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a foreign interpreter raises what it likes
                # A traceback that somebody keeps would keep views of the network's memory.
                cause = error.with_traceback(None)
                raise InferenceError(f"{self.title} failed on a tile: {first_line(error)}") from cause


def border_of(manifest: Manifest) -> int | None:
    """Zero point of a packed input, None where the network takes the tile as it is."""
    return None if manifest.input.packing is UNSET else manifest.input.packing.border
