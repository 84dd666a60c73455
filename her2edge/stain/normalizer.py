"""Macenko stain normalisation: an answer and a status for every tile, never an exception or NaN.

Macenko et al. 2009, "A method for normalizing histology slides for quantitative analysis", in the
convention of the profile's reference implementation. Profile `torchstain` agrees with torchstain
1.4.1 (NumPy) but for the sign of the stain plane, which is fixed here by the mean optical density
instead of being left to the linear-algebra library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from her2edge.errors import OptionError, StainError
from her2edge.stain.fit import StainFit
from her2edge.stain.guards import StainStatus
from her2edge.stain.measure import Reals, check_given, fit_tissue, measure_tissue
from her2edge.stain.profiles import find_profile
from her2edge.stain.restain import restain_density, restain_pixels
from her2edge.tile import Pixels, check_inside, check_pixels, check_valid

_FAST, _EXACT = np.dtype(np.float32), np.dtype(np.float64)


class StainSource(StrEnum):
    """Whose fit the normalised pixels come from: the tile's own, one given, or none (untouched)."""

    TILE = "tile"
    GIVEN = "given"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class StainResult:
    """A normalised tile: pixels (h, w, 3) uint8 RGB, how the fit went, and the fit used, if any."""

    pixels: Pixels
    status: StainStatus
    source: StainSource
    fit: StainFit | None


@dataclass(frozen=True, eq=False)
class MacenkoNormalizer:
    """Brings H&E tiles to the stains of a target.

    profile: "torchstain" or "tiatoolbox"; see `her2edge.stain.profiles`.
    target:  a StainFit of that profile; None: the published reference, which only "torchstain" has.
    exact:   compute in float64; else in float32, at most 2 grey levels from the reference in rare values.

    Raises OptionError for an unknown profile, no StainFit or no bool, StainError for a target of another
    profile.
    """

    profile: str = "torchstain"
    target: StainFit | None = None
    exact: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        find_profile(self.profile)
        if not isinstance(self.exact, bool):
            raise OptionError(f"found exact={self.exact!r}, expected True or False")
        self._of_this_profile(self.target)

    def fit(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> StainFit:
        """Stain matrix and maximal concentrations of an (h, w, 3) uint8 RGB image.

        Raises TileError for another shape or dtype, StainError where the image holds no usable stains.
        """
        inside = _colours(check_inside(pixels, valid))
        status, fit, _ = self._own_fit(inside)
        if fit is None:
            raise StainError(
                f"found no usable stains in the image (status {status}), expected H&E tissue: "
                "choose a region with both stains and little glass"
            )
        return fit

    def normalize(
        self,
        pixels: Pixels,
        *,
        valid: tuple[int, int] | None = None,
        fit: StainFit | None = None,
        fallback: StainFit | None = None,
    ) -> StainResult:
        """Normalise an (h, w, 3) uint8 RGB tile; its valid part only, padding stays as it is.

        With `fit`, that fit is used whatever the tile holds, and the status says whether there is tissue
        enough and whether its mean colour can be of these stains; without, the tile's own fit. A tile whose
        own fit fails a guard gets `fallback` where there is one (both: source `given`), else keeps its pixels
        (source `none`). The input is never changed.
        Raises TileError for another shape or dtype, StainError for a fit of another profile and where there
        is no target.
        """
        self._of_this_profile(fit)
        self._of_this_profile(fallback)
        pixels = check_pixels(pixels)
        return normalize_checked(self, pixels, check_valid(valid, *pixels.shape[:2]), fit, fallback)

    def _any_target(self) -> StainFit:
        target = self.target or find_profile(self.profile).target
        if target is None:
            raise StainError(f"found no target: profile {self.profile} has none, fit one")
        return target

    def _by_given(self, colours: Pixels, fit: StainFit, target: StainFit) -> tuple[Pixels, StainStatus]:
        restained, tissue = restain_pixels(colours, fit, target, find_profile(self.profile), self._real)
        if tissue.status is not StainStatus.OK:
            return restained, tissue.status
        return restained, check_given(tissue, fit)

    def _by_own(self, colours: Pixels, target: StainFit) -> tuple[Pixels, StainStatus, StainFit | None]:
        """By the tile's own fit; a copy of the pixels where it has none."""
        status, fit, density = self._own_fit(colours)
        if fit is None:
            return colours.copy(), status, None
        return restain_density(density, fit, target, find_profile(self.profile)), status, fit

    def _own_fit(self, colours: Pixels) -> tuple[StainStatus, StainFit | None, Reals]:
        """The fit of (n, 3) pixels, if any, and their optical density, (3, n) in scratch memory."""
        convention = find_profile(self.profile)
        tissue, density = measure_tissue(colours, convention, self._real)
        if tissue.status is not StainStatus.OK:
            return tissue.status, None, density
        return *fit_tissue(density, tissue, convention), density

    @property
    def _real(self) -> np.dtype[Any]:
        return _EXACT if self.exact else _FAST

    def _of_this_profile(self, fit: StainFit | None) -> None:
        if not (fit is None or isinstance(fit, StainFit)):
            raise OptionError(
                f"found a {type(fit).__name__} as a stain fit, expected a StainFit: her2edge.stain.TARGETS "
                "has the named ones, StainFit.load reads a saved one"
            )
        if fit is not None and fit.profile != self.profile:
            raise StainError(
                f"found a stain fit of profile {fit.profile!r}, expected {self.profile!r}: their optical "
                "densities differ, fit it again"
            )


def normalize_checked(
    normalizer: MacenkoNormalizer,
    pixels: Pixels,
    valid: tuple[int, int],
    fit: StainFit | None,
    fallback: StainFit | None,
) -> StainResult:
    """`MacenkoNormalizer.normalize` without its checks, for a caller that has made them.

    pixels: (h, w, 3) uint8 RGB, C-order. valid: (rows, columns) in 1..h, 1..w. Fits are of its profile.
    Raises StainError where there is no target.
    """
    target = normalizer._any_target()
    rows, columns = valid
    inside = _colours(pixels[:rows, :columns])
    if fit is not None:
        restained, status = normalizer._by_given(inside, fit, target)
        source = StainSource.GIVEN
    else:
        restained, status, fit = normalizer._by_own(inside, target)
        source = StainSource.NONE if fit is None else StainSource.TILE
        if fit is None and fallback is not None:
            restained, _ = normalizer._by_given(inside, fallback, target)
            fit, source = fallback, StainSource.GIVEN
    out = restained.reshape(rows, columns, 3)
    if (rows, columns) != pixels.shape[:2]:
        out = pixels.copy()
        out[:rows, :columns] = restained.reshape(rows, columns, 3)
    return StainResult(out, status, source, fit)


def _colours(pixels: Pixels) -> Pixels:
    """(h, w, 3) pixels as (n, 3), C-order."""
    return np.ascontiguousarray(pixels).reshape(-1, 3)
