"""What a runtime does, and the one place where stored tensor values become numbers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.model.records import Output
from her2edge.tile import Pixels


class Runtime(Protocol):
    """Runs one model on tiles, one at a time; may be called from several threads, which wait in line.

    title: the runtime's name in messages. precision: of the sums that the model leaves in float.
    """

    title: str
    precision: str

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (labels,) float32 logits in label order out."""
        ...

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """(tile_px, tile_px, 3) uint8 RGB in, (rows, columns, channels) float32 feature map out."""
        ...

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both of one run of the network: the same numbers as `logits` and `features`."""
        ...

    def logits_and_mean(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of one run: `logits`, and (channels,) float32, the mean of `features` over rows and columns."""
        ...


def dequantize(stored: NDArray[Any], output: Output) -> NDArray[np.float32]:
    """Stored tensor values to numbers: scale * (q - zero_point); float tensors (scale 0) as they are."""
    if output.scale == 0:
        return np.array(stored, dtype=np.float32)
    shifted = stored.astype(np.float32) - np.float32(output.zero_point)
    return np.asarray(shifted * np.float32(output.scale), dtype=np.float32)


def dequantize_weights(
    stored: NDArray[Any], scales: NDArray[Any], zero_points: NDArray[Any], axis: int
) -> NDArray[np.float32]:
    """Stored weights to numbers, each channel along `axis` by its own scale; float ones (no scale) are kept.

    scales, zero_points: (channels,), or (1,) for all of them.
    """
    if len(scales) == 0:
        return np.array(stored, dtype=np.float32)
    along = [-1 if own == axis and len(scales) > 1 else 1 for own in range(stored.ndim)]
    shifted = stored.astype(np.float64) - zero_points.reshape(along)
    return np.asarray(shifted * scales.reshape(along), dtype=np.float32)


def mean_stored(stored: NDArray[Any], output: Output) -> NDArray[np.float32]:
    """(channels,) float32, the mean of a stored (rows, columns, channels) map over rows and columns.

    Stored integers are summed as they are and become numbers once: a tenth of the time, and no rounding.
    """
    cells = stored.reshape(-1, stored.shape[-1])
    if output.scale == 0:
        return np.asarray(cells.mean(axis=0, dtype=np.float64), dtype=np.float32)
    total = np.empty(cells.shape[1], np.int32)  # a map of eight million places would fit
    _kernels.column_sums(np.ascontiguousarray(cells), total)
    return np.asarray(output.scale * (total / len(cells) - output.zero_point), dtype=np.float32)


def mean_features(features: NDArray[np.float32], output: Output) -> NDArray[np.float32]:
    """`mean_stored` of a map that `dequantize` gave, bit for bit: the stored integers are known from it."""
    if output.scale == 0:
        return mean_stored(features, output)
    stored = np.rint(features / np.float32(output.scale)).astype(np.int32) + output.zero_point
    return mean_stored(stored, output)
