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
from her2edge.stain.fit import StainFit
from her2edge.stain.guards import StainStatus
from her2edge.stain.measure import TOP_SHARE, fit_steps
from her2edge.stain.percentile import percentile_of_counts
from her2edge.stain.profiles import find_profile
from her2edge.tile import Pixels, check_inside

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
        add_checked(self, check_inside(pixels, valid))
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
        # einsum: BLAS may sum over pixels in another order with another number of threads; below, where @
        # sums over three channels, there is nothing to reorder
        products = np.einsum("n,na,nb->ab", tissue, seen, seen)
        moments = np.concatenate([np.einsum("n,na->a", tissue, seen), products[np.triu_indices(3)]])

        def ends(plane: NDArray[np.float64]) -> list[float]:
            x, y = plane.T @ seen.T
            angles = np.arctan2(y, x)
            return [_percentile(angles, tissue, share) for share in (1 - TOP_SHARE, TOP_SHARE)]

        def strongest(unmix: NDArray[np.float64]) -> list[float]:
            return [_percentile(amount, weights, TOP_SHARE) for amount in unmix @ density.T]

        return fit_steps(moments, count, self._profile, ends, strongest)


def add_checked(collected: StainAccumulator, inside: Pixels) -> None:
    """`StainAccumulator.update` with (h, w, 3) uint8 RGB that the caller has checked."""
    _kernels.colour_histogram(np.ascontiguousarray(inside).reshape(-1), collected._counts)


def _percentile(values: NDArray[np.float64], weights: Weights, share: float) -> float:
    order = np.argsort(values, kind="stable")
    return percentile_of_counts(values[order], weights[order], share)
