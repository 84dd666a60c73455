"""Macenko stain normalisation: an answer and a status for every tile, never an exception or NaN.

Macenko et al. 2009, "A method for normalizing histology slides for quantitative analysis", in the
convention of the profile's reference implementation. Profile `torchstain` agrees with torchstain
1.4.1 (NumPy) but for the sign of the stain plane, which is fixed here by the mean optical density
instead of being left to the linear-algebra library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.errors import OptionError, StainError
from her2edge.stain_fit import REFERENCE_TARGET, StainFit
from her2edge.tile import Pixels, check_pixels, check_valid

PROFILES = ("torchstain",)
WHITE = 240.0  # Io, the grey value of light through no stain
BETA = 0.15  # tissue: every channel's optical density, natural log, is at least this
PERCENTILES = (1.0, 99.0)

# Optical density of each grey value: -ln((I + 1) / Io), (256,) float64.
OPTICAL_DENSITY: NDArray[np.float64] = -np.log((np.arange(256) + 1.0) / WHITE)

# Guards: outside them a fit describes something other than two stains in tissue.
BACKGROUND_SHARE = 0.01
TISSUE_PIXELS, TISSUE_SHARE = 256, 0.05
EIGENVALUES = (1e-4, 1e-3)  # second, first
NEGATIVE_STAIN = -0.15
STAIN_ANGLE = (8.0, 70.0)  # degrees between H and E
LOW_CONCENTRATION = 0.1
REFERENCE_ANGLE = (30.0, 45.0)  # degrees from the reference H and E at most


class StainStatus(StrEnum):
    """What the fit of a tile found; everything but `ok` leaves the tile without a fit of its own."""

    OK = "ok"
    BACKGROUND = "background"
    FEW_TISSUE = "few_tissue"
    RANK_DEFICIENT = "rank_deficient"
    NEGATIVE_STAIN = "negative_stain"
    ANGLE = "angle"
    LOW_CONCENTRATION = "low_concentration"
    IMPLAUSIBLE = "implausible"


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
    """Brings H&E tiles to the stains of a target; None is the published reference target."""

    profile: str = "torchstain"
    target: StainFit | None = None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise OptionError(f"found stain profile {self.profile!r}, expected one of {', '.join(PROFILES)}")

    def fit(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> StainFit:
        """Stain matrix and maximal concentrations of an (h, w, 3) uint8 RGB image.

        Raises TileError for another shape or dtype, StainError where the image holds no usable stains.
        """
        pixels = check_pixels(pixels)
        rows, columns = check_valid(valid, *pixels.shape[:2])
        status, fit = _fit(np.ascontiguousarray(pixels[:rows, :columns]).reshape(-1, 3))
        if fit is None:
            raise StainError(
                f"found no usable stains in the image (status {status}), expected H&E tissue: "
                "choose a region with both stains and little glass"
            )
        return fit

    def normalize(
        self, pixels: Pixels, *, valid: tuple[int, int] | None = None, fit: StainFit | None = None
    ) -> StainResult:
        """Normalise an (h, w, 3) uint8 RGB tile; its valid part only, padding stays as it is.

        With `fit`, that fit is used whatever the tile holds (source `given`), and the status says whether
        there is tissue enough; without, the tile's own fit. A tile whose own fit fails a guard keeps its
        pixels (source `none`). The input is never changed.
        Raises TileError for another shape or dtype; nothing else.
        """
        pixels = check_pixels(pixels)
        rows, columns = check_valid(valid, *pixels.shape[:2])
        inside = np.ascontiguousarray(pixels[:rows, :columns]).reshape(-1, 3)
        if fit is None:
            status, fit = _fit(inside)
            source = StainSource.NONE if fit is None else StainSource.TILE
        else:
            status, source = _enough_tissue(_moments(inside), inside), StainSource.GIVEN
        out = pixels.copy()
        if fit is not None:
            target = self.target or REFERENCE_TARGET
            stained = np.empty_like(inside)
            _kernels.restain(inside, OPTICAL_DENSITY, _mixing_matrix(fit, target), WHITE, stained)
            out[:rows, :columns] = stained.reshape(rows, columns, 3)
        return StainResult(out, status, source, fit)


def _mixing_matrix(fit: StainFit, target: StainFit) -> NDArray[np.float64]:
    """(3, 3): optical density of the tile to optical density in the target's stains."""
    scale = np.diag(target.max_concentration / fit.max_concentration)
    return np.ascontiguousarray(target.stain_matrix @ scale @ fit.unmix)


def _moments(pixels: Pixels) -> NDArray[np.float64]:
    """(10,) moments of the tissue among (n, 3) uint8 pixels; see `_kernels.tissue_moments`."""
    moments = np.empty(10)
    _kernels.tissue_moments(pixels, OPTICAL_DENSITY, BETA, moments)
    return moments


def _enough_tissue(moments: NDArray[np.float64], pixels: Pixels) -> StainStatus:
    """`ok`, `few_tissue` or `background`, by the number of tissue pixels."""
    count, pixel_count = moments[0], pixels.shape[0]
    if count < BACKGROUND_SHARE * pixel_count:
        return StainStatus.BACKGROUND
    if count < max(TISSUE_PIXELS, TISSUE_SHARE * pixel_count):
        return StainStatus.FEW_TISSUE
    return StainStatus.OK


def _fit(pixels: Pixels) -> tuple[StainStatus, StainFit | None]:
    """Fit (n, 3) uint8 pixels; the fit is None unless the status is ok."""
    moments = _moments(pixels)
    status = _enough_tissue(moments, pixels)
    if status is not StainStatus.OK:
        return status, None

    count = int(moments[0])
    mean = moments[1:4] / count
    products = moments[4:][np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])]
    covariance = (products - count * np.outer(mean, mean)) / (count - 1)
    values, vectors = np.empty(3), np.empty((3, 3))
    _kernels.symmetric_eigen(covariance, values, vectors)
    if values[1] < EIGENVALUES[0] or values[2] < EIGENVALUES[1]:
        return StainStatus.RANK_DEFICIENT, None

    plane = vectors[:, 1:] * np.where(mean @ vectors[:, 1:] < 0, -1.0, 1.0)
    angles = np.empty(count)
    _kernels.tissue_angles(pixels, OPTICAL_DENSITY, BETA, np.ascontiguousarray(plane), angles)
    ends = [plane @ (np.cos(a), np.sin(a)) for a in np.percentile(angles, PERCENTILES)]
    ends.sort(key=lambda stain: -stain[0])  # haematoxylin has the larger red component
    return _accept(pixels, np.column_stack(ends))


def _accept(pixels: Pixels, stain_matrix: NDArray[np.float64]) -> tuple[StainStatus, StainFit | None]:
    """Hold the (3, 2) stain matrix against the guards and measure the maximal concentrations."""
    if stain_matrix.min() < NEGATIVE_STAIN:
        return StainStatus.NEGATIVE_STAIN, None
    if not STAIN_ANGLE[0] < _degrees(stain_matrix[:, 0], stain_matrix[:, 1]) < STAIN_ANGLE[1]:
        return StainStatus.ANGLE, None
    amounts = np.empty((2, pixels.shape[0]))
    _kernels.concentrations(pixels, OPTICAL_DENSITY, np.linalg.pinv(stain_matrix), amounts)
    max_concentration = np.percentile(amounts, PERCENTILES[1], axis=1)
    if max_concentration.min() < LOW_CONCENTRATION:
        return StainStatus.LOW_CONCENTRATION, None
    for stain, reference, limit in zip(
        stain_matrix.T, REFERENCE_TARGET.stain_matrix.T, REFERENCE_ANGLE, strict=True
    ):
        if _degrees(stain, reference) > limit:
            return StainStatus.IMPLAUSIBLE, None
    return StainStatus.OK, StainFit(stain_matrix, max_concentration)


def _degrees(a: NDArray[Any], b: NDArray[Any]) -> float:
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
