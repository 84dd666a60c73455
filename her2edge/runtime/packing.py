"""A tile as the network's input tensor holds it, whatever the runtime: as it is, or packed for the stem.

The first convolution of a ResNet, 7x7 with stride 2 over three channels, leaves most of a vector register
empty. Packed, the same sums of the same numbers are a convolution of 4x1 over 48 channels: entry (r, j) of
the input holds the 2 rows x 8 columns x RGB that begin at row 2r, column 2j of the tile in a frame of 3
pixels. So the input is (1, tile_px / 2 + 3, tile_px / 2, 48) int8. A table says what the network's
preprocessing, left out of its graph, made of each grey value; the frame is the mean that it takes off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.model.records import Input, Packing
from her2edge.tile import Pixels

ROWS, COLUMNS, FRAME = 2, 8, 3
CHANNELS = ROWS * COLUMNS * 3


def input_shape(tile: Input) -> tuple[int, int, int, int]:
    """Shape of the network's input tensor."""
    if tile.packing is UNSET:
        return 1, tile.tile_px, tile.tile_px, 3
    return packed_shape(tile.tile_px)


def packed_shape(tile_px: int) -> tuple[int, int, int, int]:
    """Shape of a packed input for tiles of an even size, pixels."""
    return 1, tile_px // 2 + FRAME, tile_px // 2, CHANNELS


class InputWriter:
    """Writes tiles into an input tensor; not to be used by two threads at once."""

    def __init__(self, tile: Input) -> None:
        self._tile_px = tile.tile_px
        self._packing = None if tile.packing is UNSET else tile.packing
        if self._packing is not None:
            self._table = packing_table(self._packing)
            row = 3 * (tile.tile_px + 2 * FRAME)
            self._words = np.empty((4, -(-row // 8)), dtype=np.int64)

    def write(self, pixels: Pixels, out: NDArray[Any]) -> None:
        """out: the tensor, C-order, of `input_shape`; pixels: (tile_px, tile_px, 3) uint8 RGB.

        Raises ValueError where they do not fit.
        """
        wanted = (self._tile_px, self._tile_px, 3)
        if pixels.shape != wanted or pixels.dtype != np.uint8:
            raise ValueError(f"found pixels {pixels.shape} {pixels.dtype}, expected {wanted} uint8")
        if self._packing is None:
            out[0] = pixels
            return
        shifted = self._words.view(np.int8)
        places = out.view(np.int64).reshape(*out.shape[1:3], ROWS, -1)
        border = np.int8(self._packing.border)
        _kernels.pack_stem(np.ascontiguousarray(pixels), self._table, border, shifted, self._words, places)


def packing_table(packing: Packing) -> NDArray[np.int8]:
    """(3, 256) int8: what the network reads for each grey value of R, G, B."""
    return np.frombuffer(packing.table, dtype=np.int8).reshape(3, 256)
