"""Pairs of tiles by their distance: how many there are, and how alike they are. For any grid.

Sums over all pairs are the inverse Fourier transform of the squared spectrum (Wiener and Khinchin). A grid of
more than `_PLACES` places is first cut into square cells, each of which is then one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_PLACES = 1 << 16  # of a grid that is not cut into cells: a dense slide of 65,536 tiles


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ordered pairs of tiles whose distance rounds to r cells, r = 0, 1, ... (reach + 1,); 0: of one cell.

    cell: tiles along the side of a cell, 1 where the grid is small. counts: (reach + 1,) how many, a tile
    with itself among them. products: (values, reach + 1) the sums of the products of their values.
    """

    cell: int
    counts: Floats
    products: Floats


def pairs_by_distance(columns: Ints, rows: Ints, values: Floats) -> Pairs:
    """Count all pairs of tiles at (column, row), each place once; values (k, n): k numbers of each tile."""
    across, down = columns - columns.min(), rows - rows.min()
    cell = 1
    while (across.max() // cell + 1) * (down.max() // cell + 1) > _PLACES:
        cell += max(1, cell // 8)
    across, down = across // cell, down // cell
    width, height = int(across.max()) + 1, int(down.max()) + 1
    shape = (_smooth(2 * height - 1), _smooth(2 * width - 1))  # no lag wraps around
    place = down * shape[1] + across
    lag = np.arange(shape[1], dtype=np.float64)
    lag = np.minimum(lag, shape[1] - lag)
    distance = np.rint(np.hypot(lag[np.newaxis], np.arange(height, dtype=np.float64)[:, np.newaxis]))
    near = distance.astype(np.int64).ravel()

    def sums(value: Floats | None) -> Floats:
        tiles = np.bincount(place, value, shape[0] * shape[1]).reshape(shape)
        spectrum = np.fft.rfft2(tiles)
        alike = np.fft.irfft2(spectrum.real**2 + spectrum.imag**2, shape)[:height]
        alike[1:] *= 2  # rows above as rows below
        if value is None:
            alike = np.rint(alike)
        return np.asarray(np.bincount(near, alike.ravel()), np.float64)

    return Pairs(cell, sums(None), np.stack([sums(one) for one in values]))


def _smooth(length: int) -> int:
    """The next product of 2, 3 and 5: the transform is fast for those."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
