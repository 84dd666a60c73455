"""Shares of a tile that is over-exposed tissue, or ink of a pen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.scratch import scratch
from her2edge.tile import Pixels

# A cell of clear blue ink: ink is a filter. What it adds to the optical density of red over that of blue, the
# logarithm of blue over red, stands out of the tile's own tissue, whatever its stains.
DARK = 140  # mean red below
BLUE = 1.35  # mean blue over mean red above
BLUER = 1.82  # and that over the tile's own lower quartile above
FEWEST_CELLS = 64  # a tile of 128 px; in a smaller one a few nuclei are as large a share as a stroke
_BYTE, _SHORT, _INT, _LONG = (np.dtype(kind) for kind in (np.uint8, np.int16, np.int32, np.int64))


def ink_shares(inside: Pixels, grey: NDArray[np.uint8]) -> tuple[float, float, float, float, float]:
    """Over-exposed tissue; green, blue, black ink; cells of clear blue ink: shares of every eighth row, 0..1.

    inside: (h, w, 3) uint8 RGB, C-order; grey: (h, w) uint8, its grey.
    """
    height, width = grey.shape
    cells = scratch("cells", (2, height // kernels.CELL, width // kernels.CELL), _INT)
    channels, seen = (
        scratch("channels", (5, kernels.BLOCK), _SHORT),
        scratch("seen", (4, kernels.BLOCK), _BYTE),
    )
    counts = scratch("counts", (4,), _LONG)
    kernels.ink(inside.reshape(height, 3 * width), grey, channels, seen, cells, counts)
    looked_at = -(-height // kernels.ROWS) * width
    over, green, blue, black = (count / looked_at for count in counts.tolist())
    return over, green, blue, black, _clear(cells)


def _clear(cells: NDArray[np.int32]) -> float:
    """Share of cells with clear blue ink, of (2, rows, columns) sums of red and of blue."""
    red, blue = cells.reshape(2, -1) + 1.0
    if red.size < FEWEST_CELLS:
        return 0.0
    ratio = blue / red
    usual = np.partition(ratio, (ratio.size - 1) // 4)[(ratio.size - 1) // 4]
    dark = DARK * kernels.CELL * (kernels.CELL // kernels.ROWS)
    return float(np.mean((red < dark) & (ratio > BLUE) & (ratio > BLUER * usual)))
