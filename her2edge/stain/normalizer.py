"""Macenko stain normalisation: an answer and a status for every tile, never an exception or NaN.

Macenko et al. 2009, "A method for normalizing histology slides for quantitative analysis", in the
convention of the profile's reference implementation. Profile `torchstain` agrees with torchstain
1.4.1 (NumPy) but for the sign of the stain plane, which is fixed here by the mean optical density
instead of being left to the linear-algebra library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.errors import OptionError, StainError
from her2edge.stain.fit import StainFit
from her2edge.stain.guards import StainStatus
from her2edge.stain.measure import Reals, check_given, find_tissue, fit_tissue, optical_density
from her2edge.stain.profiles import Profile, find_profile
from her2edge.stain.scratch import scratch
from her2edge.tile import Pixels, check_pixels, check_valid

Precision = Literal["fast", "exact"]
_REALS: dict[str, np.dtype[Any]] = {"fast": np.dtype(np.float32), "exact": np.dtype(np.float64)}


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

    profile:   "torchstain" or "tiatoolbox"; see `her2edge.stain.profiles`.
    target:    a StainFit of that profile; None: the published reference, which only "torchstain" has.
    precision: "fast" (float32, at most 2 grey levels from the reference in rare values) or "exact" (float64).

    Raises OptionError for an unknown profile or precision or what is no StainFit, StainError for a target of
    another profile.
    """

    profile: str = "torchstain"
    target: StainFit | None = None
    precision: Precision = "fast"

    def __post_init__(self) -> None:
        find_profile(self.profile)
        if self.precision not in _REALS:
            raise OptionError(f"found precision {self.precision!r}, expected one of {', '.join(_REALS)}")
        self._of_this_profile(self.target)

    def fit(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> StainFit:
        """Stain matrix and maximal concentrations of an (h, w, 3) uint8 RGB image.

        Raises TileError for another shape or dtype, StainError where the image holds no usable stains.
        """
        pixels = check_pixels(pixels)
        inside = _inside(pixels, *check_valid(valid, *pixels.shape[:2]))
        convention = find_profile(self.profile)
        tissue = find_tissue(inside, convention)
        status, fit = tissue.status, None
        if status is StainStatus.OK:
            status, fit = fit_tissue(self._density(inside), tissue, convention)
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
        target = self.target or find_profile(self.profile).target
        if target is None:
            raise StainError(f"found no target: profile {self.profile} has none of its own, fit one")
        self._of_this_profile(fit)
        self._of_this_profile(fallback)
        pixels = check_pixels(pixels)
        rows, columns = check_valid(valid, *pixels.shape[:2])
        inside = _inside(pixels, rows, columns)
        convention = find_profile(self.profile)
        tissue = find_tissue(inside, convention)
        status, own = tissue.status, None
        if status is not StainStatus.OK and fit is None and fallback is None:
            return StainResult(pixels.copy(), status, StainSource.NONE, None)
        density = self._density(inside)
        if status is StainStatus.OK and fit is not None:
            status = check_given(density, tissue, convention, fit)
        elif status is StainStatus.OK:
            status, own = fit_tissue(density, tissue, convention)
        chosen = fit or own or fallback
        if chosen is None:
            return StainResult(pixels.copy(), status, StainSource.NONE, None)
        restained = np.empty(inside.shape, np.uint8)
        _restain(density, chosen, target, convention, restained)
        out = restained.reshape(rows, columns, 3)
        if (rows, columns) != pixels.shape[:2]:
            out = pixels.copy()
            out[:rows, :columns] = restained.reshape(rows, columns, 3)
        return StainResult(out, status, StainSource.TILE if chosen is own else StainSource.GIVEN, chosen)

    def _density(self, colours: Pixels) -> Reals:
        return optical_density(colours, find_profile(self.profile), _REALS[self.precision])

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


def _inside(pixels: Pixels, rows: int, columns: int) -> Pixels:
    """The valid part as (n, 3) pixels."""
    return np.ascontiguousarray(pixels[:rows, :columns]).reshape(-1, 3)


def _restain(density: Reals, fit: StainFit, target: StainFit, convention: Profile, out: Pixels) -> None:
    """Write (n, 3) pixels of (3, n) optical density in the target's stains."""
    real = density.dtype
    mix = _mixing_matrix(fit, target) * math.log2(math.e) / 8
    light = scratch("light", (3, _kernels.BLOCK), np.dtype(np.uint8))
    _kernels.restain(density, mix.astype(real), light_bounds(convention).astype(real), light, out.reshape(-1))


def _mixing_matrix(fit: StainFit, target: StainFit) -> NDArray[np.float64]:
    """(3, 3): optical density of the tile to optical density in the target's stains."""
    scale = target.max_concentration / fit.max_concentration
    return np.asarray((target.stain_matrix * scale) @ fit.unmix)


def light_bounds(convention: Profile) -> NDArray[np.float64]:
    """(4,) as `_kernels.restain` takes them: from light of half a grey level to just below 256."""
    shift, least, greatest = (
        math.log2(light) / 8 - _kernels.CENTRE for light in (convention.white, 0.5, 255.99)
    )
    return np.array([shift, least, greatest, 2 ** (8 * _kernels.CENTRE)])
