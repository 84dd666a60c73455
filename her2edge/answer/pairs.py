"""Pairs of tiles by their distance: how many there are, and how alike they are. For any grid.

The grid is cut into blocks, of which only those with tiles are looked at. Each is held against itself and its
neighbours: where there are few tiles pair by pair, else by the Fourier transform of values and of places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FEW = 400_000  # pairs: as fast as the transform of a block
_BLOCK, _WIDEST = 256, 1024
_TILES = 30  # of a block, where tiles are few and far between


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ordered pairs of tiles whose distance rounds to r tiles, r = 0, 1, ... (reach + 1,).

    counts: how many. products: the sum of the products of their values. r = 0 is left at 0.
    """

    counts: Floats
    products: Floats


def pairs_by_distance(columns: Ints, rows: Ints, values: Floats, reach: int) -> Pairs:
    """Count pairs up to the distance `reach` of tiles at (column, row), each place once; values (n,)."""
    counts, products = np.zeros(reach + 1), np.zeros(reach + 1)
    area = float(np.ptp(columns) + 1) * float(np.ptp(rows) + 1)
    side = max(_BLOCK, reach, min(_WIDEST, int((area * _TILES / len(columns)) ** 0.5)))
    for here, near in _blocks(columns // side, rows // side):
        count = _by_pair if len(here) * len(near) <= _FEW else _by_transform
        count(columns, rows, values, here, near, counts, products)
    counts[0] = products[0] = 0
    return Pairs(counts, products)


def _blocks(across: Ints, down: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Indices of the tiles of each block that has any, and of those in it and the eight around it."""
    order = np.lexsort((across, down))
    edges = np.flatnonzero(np.diff(across[order]) | np.diff(down[order])) + 1
    tiles = {(int(across[one[0]]), int(down[one[0]])): one for one in np.split(order, edges)}
    for (x, y), here in tiles.items():
        around = ((x + i, y + j) for j in (-1, 0, 1) for i in (-1, 0, 1))
        yield here, np.concatenate([tiles[place] for place in around if place in tiles])


def _by_pair(
    columns: Ints, rows: Ints, values: Floats, here: Ints, near: Ints, counts: Floats, products: Floats
) -> None:
    across = np.subtract.outer(columns[here], columns[near]).astype(np.float64)
    down = np.subtract.outer(rows[here], rows[near])
    distance = _rounded(across, down)
    inside = distance < len(counts)
    distance = distance[inside]
    counts += np.bincount(distance, minlength=len(counts))
    weights = np.multiply.outer(values[here], values[near])[inside]
    products += np.bincount(distance, weights, minlength=len(counts))


def _by_transform(
    columns: Ints, rows: Ints, values: Floats, here: Ints, near: Ints, counts: Floats, products: Floats
) -> None:
    reach = len(counts) - 1
    left, top = int(columns[here].min()), int(rows[here].min())
    width, height = int(columns[here].max()) - left + 1, int(rows[here].max()) - top + 1
    x, y = columns[near] - left + reach, rows[near] - top + reach
    close = (x >= 0) & (y >= 0) & (x < width + 2 * reach) & (y < height + 2 * reach)
    near, x, y = near[close], x[close], y[close]
    shape = (_smooth(height + 2 * reach), _smooth(width + 2 * reach))  # shifts of 0..2 reach do not wrap
    lag = np.arange(2 * reach + 1, dtype=np.float64) - reach
    distance = _rounded(lag[np.newaxis], lag[:, np.newaxis])
    inside = distance <= reach
    for total, own, other in (
        (counts, np.ones(len(here)), np.ones(len(near))),
        (products, values[here], values[near]),
    ):
        a, b = np.zeros(shape), np.zeros(shape)
        a[rows[here] - top, columns[here] - left] = own
        b[y, x] = other
        spectrum = np.fft.rfft2(a).conj() * np.fft.rfft2(b)
        sums = np.fft.irfft2(spectrum, shape)[: 2 * reach + 1, : 2 * reach + 1]
        if total is counts:
            sums = np.rint(sums)
        total += np.bincount(distance[inside], sums[inside], minlength=len(total))


def _rounded(across: Floats, down: Floats) -> NDArray[np.int64]:
    return np.rint(np.hypot(across, down)).astype(np.int64)


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
