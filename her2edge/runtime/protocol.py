"""What a runtime does, and the one place where stored tensor values become numbers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from her2edge.model.records import Output
from her2edge.tile import Pixels


class Runtime(Protocol):
    """Runs one model on tiles, one at a time; may be called from several threads, which wait in line.

    title: the runtime's name in messages. precision: of the sums that the model leaves in float.
    """

    title: str
    precision: str

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (3,) float32 logits in label order out."""
        ...

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (rows, columns, channels) float32 feature map out."""
        ...

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both of one run of the network: the same numbers as `logits` and `features`."""
        ...


def dequantize(stored: NDArray[Any], output: Output) -> NDArray[np.float32]:
    """Stored tensor values to numbers: scale * (q - zero_point); float tensors (scale 0) as they are."""
    if output.scale == 0:
        return np.array(stored, dtype=np.float32)
    shifted = stored.astype(np.float32) - np.float32(output.zero_point)
    return np.asarray(shifted * np.float32(output.scale), dtype=np.float32)
