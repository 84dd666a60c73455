"""Guards: what a fit must be like to be taken for two stains in tissue, and the name of what is wrong.

Begun from the specification and held against the real tiles by test_stain_guards.py, which says how
many of them are accepted.
"""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from her2edge.stain.fit import StainFit
from her2edge.stain.profiles import MACENKO

BACKGROUND_SHARE = 0.01
TISSUE_PIXELS, TISSUE_SHARE = 256, 0.05
EIGENVALUES = (1e-4, 1e-3)  # second, first
OUT_OF_NOISE = 1.5  # second over third eigenvalue: 1.6 and more on real tiles, 1.3 and less on black ink
# The same in units of sensor noise, which grows with 1/I, so that one stain with noise spreads in a plane:
# 1.5 and more on real images (1.9 on all but one), 1.06 in the median on one stain with noise, 1.4 at 90 %.
OUT_OF_SENSOR_NOISE = 1.4
GREEN_LEADS = (
    1.05  # mean optical density, green over red and blue: 1.2 and more on tissue; inverted 0.9, DAB 1.0
)
NEGATIVE_STAIN = -0.15
STAIN_ANGLE = (8.0, 70.0)  # degrees between H and E
LOW_CONCENTRATION = 0.1
REFERENCE_ANGLE = (35.0, 45.0)  # degrees from the reference H and E at most; 29.5 of H on real tissue
# Of a tile's mean colour, where a fit is given: at most 6 degrees out of the plane of a real slide's own fit,
# 12 of another slide's; ink and blood lie further out, or have less than nothing of one stain. Grey may lie
# in such a plane: there it is the spread that tells.
OUT_OF_PLANE = 12.0  # degrees
NEGATIVE_MEAN = -0.4  # of the stain's maximal concentration


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


def judge_tissue(tissue: int, pixels: int) -> StainStatus:
    """`ok`, `few_tissue` or `background`, by the number of tissue pixels among all."""
    if tissue < BACKGROUND_SHARE * pixels:
        return StainStatus.BACKGROUND
    if tissue < max(TISSUE_PIXELS, TISSUE_SHARE * pixels):
        return StainStatus.FEW_TISSUE
    return StainStatus.OK


def judge_spread(eigenvalues: NDArray[np.float64], over_noise: NDArray[np.float64]) -> StainStatus:
    """Two directions of colour: (3,) ascending variances of optical density, and in units of sensor noise."""
    third, second, first = eigenvalues.tolist()
    if second < max(EIGENVALUES[0], OUT_OF_NOISE * third) or first < EIGENVALUES[1]:
        return StainStatus.RANK_DEFICIENT
    noise, signal, _ = over_noise.tolist()
    return StainStatus.OK if signal >= OUT_OF_SENSOR_NOISE * noise else StainStatus.RANK_DEFICIENT


def judge_colour(mean: NDArray[np.float64]) -> StainStatus:
    """Whether a mean optical density, (3,), can be that of H&E: both stains take most of green."""
    red, green, blue = mean.tolist()
    return StainStatus.OK if green >= GREEN_LEADS * max(red, blue) else StainStatus.IMPLAUSIBLE


def judge_matrix(matrix: NDArray[np.float64]) -> StainStatus:
    """The stain vectors by themselves, (3, 2)."""
    if matrix.min() < NEGATIVE_STAIN:
        return StainStatus.NEGATIVE_STAIN
    h, e = matrix.T.tolist()
    return StainStatus.OK if STAIN_ANGLE[0] < degrees(h, e) < STAIN_ANGLE[1] else StainStatus.ANGLE


def judge_strength(matrix: NDArray[np.float64], strongest: NDArray[np.float64]) -> StainStatus:
    """Both stains are there, (2,), and the vectors lie near haematoxylin and eosin, (3, 2)."""
    if strongest.min() < LOW_CONCENTRATION:
        return StainStatus.LOW_CONCENTRATION
    pairs = zip(matrix.T.tolist(), MACENKO.stain_matrix.T.tolist(), REFERENCE_ANGLE, strict=True)
    if any(degrees(stain, reference) > limit for stain, reference, limit in pairs):
        return StainStatus.IMPLAUSIBLE
    return StainStatus.OK


def judge_given(mean: NDArray[np.float64], fit: StainFit) -> StainStatus:
    """Whether a given fit can be that of tissue with this mean optical density, (3,)."""
    amounts = fit.unmix @ mean
    if min((amounts / fit.max_concentration).tolist()) < NEGATIVE_MEAN:
        return StainStatus.NEGATIVE_STAIN
    explained = fit.stain_matrix @ amounts
    apart = degrees(mean.tolist(), explained.tolist())
    return StainStatus.OK if apart <= OUT_OF_PLANE else StainStatus.IMPLAUSIBLE


def degrees(a: list[float], b: list[float]) -> float:
    """Angle between two vectors of three."""
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    cosine = dot / max(math.hypot(*a) * math.hypot(*b), 1e-300)
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
