"""StainAccumulator: the colours of many tiles, and the one stain fit of them all.

Tiles go into an integer histogram of colours, two grey values a bin, so sums are exact: the order of
tiles and the way they were merged change nothing. Matrix, angles and percentiles are computed once, in
`freeze`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.errors import StainError
from her2edge.stain import guards
from her2edge.stain.fit import StainFit, pseudo_inverse
from her2edge.stain.guards import StainStatus
from her2edge.stain.measure import TOP_SHARE, interpolate, judged, stain_matrix, stain_plane
from her2edge.stain.profiles import find_profile
from her2edge.tile import Pixels, check_pixels, check_valid

BINS = 128
Weights = NDArray[np.int64]


class StainAccumulator:
    """Collects tiles, or other accumulators, for one fit; 16 MiB, whatever their number.

    profile: as for MacenkoNormalizer; OptionError for an unknown one. For one thread at a time.
    """

    def __init__(self, profile: str = "torchstain") -> None:
        self._profile = find_profile(profile)
        self._counts = np.zeros((BINS, BINS, BINS), np.int64)

    @property
    def pixels(self) -> int:
        """How many pixels have been collected."""
        return int(self._counts.sum())

    def update(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> StainAccumulator:
        """Add the valid part of an (h, w, 3) uint8 RGB tile; returns itself. Raises TileError."""
        pixels = check_pixels(pixels)
        rows, columns = check_valid(valid, *pixels.shape[:2])
        inside = np.ascontiguousarray(pixels[:rows, :columns])
        _kernels.colour_histogram(inside.reshape(-1), self._counts)
        return self

    def merge(self, other: StainAccumulator) -> StainAccumulator:
        """Add what another has collected; returns itself. Raises StainError for another profile."""
        if other._profile is not self._profile:
            raise StainError(
                f"found accumulators of profiles {self._profile.name!r} and {other._profile.name!r}, "
                "expected one profile"
            )
        self._counts += other._counts
        return self

    def freeze(self) -> StainFit:
        """The fit of all pixels collected; more may be added and another fit frozen later.

        Within 0.5 degrees and 2 % of the fit of the same pixels one by one. Raises StainError, with the
        status, where they hold no two usable stains.
        """
        status, fit = self._fit()
        if fit is None:
            raise StainError(
                f"found no usable stains in {self.pixels} pixels (status {status}), expected H&E tissue: "
                "collect more tiles, or choose per-tile normalisation or none"
            )
        return fit

    def _fit(self) -> tuple[StainStatus, StainFit | None]:
        bins = np.flatnonzero(self._counts)
        weights = self._counts.reshape(-1)[bins]
        low = np.stack(np.unravel_index(bins, self._counts.shape), axis=1).astype(np.uint8) * 2
        mask = self._profile.mask(low + np.uint8(1), weights) == 1 if len(low) else np.zeros(0, bool)
        tissue, count = weights[mask], int(weights[mask].sum())
        status = guards.judge_tissue(count, max(1, int(weights.sum())))
        if status is not StainStatus.OK:
            return status, None
        density = (self._profile.density[low] + self._profile.density[low + 1]) / 2
        seen = density[mask]
        # einsum and not @: BLAS sums in another order with another number of threads
        products = np.einsum("n,na,nb->ab", tissue, seen, seen)
        moments = np.concatenate([np.einsum("n,na->a", tissue, seen), products[np.triu_indices(3)]])
        status, plane = stain_plane(moments, count, self._profile)
        if plane is None:
            return status, None
        x, y = plane.T @ seen.T
        angles = np.arctan2(y, x)
        ends = [_percentile(angles, tissue, share) for share in (1 - TOP_SHARE, TOP_SHARE)]
        matrix = stain_matrix(plane, ends, self._profile)
        status = guards.judge_matrix(matrix)
        if status is not StainStatus.OK:
            return status, None
        amounts = pseudo_inverse(matrix) @ density.T
        strongest = np.array([_percentile(amount, weights, TOP_SHARE) for amount in amounts])
        return judged(matrix, strongest, self._profile)


def _percentile(values: NDArray[np.float64], weights: Weights, share: float) -> float:
    """NumPy's linear percentile of values (n,) that occur `weights` (n,) times each."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    position = share * (running[-1] - 1)
    below = int(position)
    low, high = np.searchsorted(running, [below, min(below + 1, running[-1] - 1)], side="right")
    return interpolate(float(values[order[low]]), float(values[order[high]]), position - below)
