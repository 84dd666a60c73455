"""Stain matrix and maximal concentrations of pixels: Macenko et al. 2009, by exact order statistics.

Two precisions: float64 agrees with the reference implementations to 1e-9, float32 is faster. A percentile is
an order statistic, found without sorting: a sample of 2,000 pixels gives a limit that the wanted value is
almost surely above, one pass keeps what is above it, and a partition of those does the rest; where the
sample misled, all are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.scratch import scratch
from her2edge.stain import guards
from her2edge.stain.fit import StainFit, pseudo_inverse
from her2edge.stain.guards import StainStatus
from her2edge.stain.percentile import interpolate
from her2edge.stain.profiles import Profile
from her2edge.tile import Pixels

Reals = NDArray[Any]  # float32 or float64

TOP_SHARE = 0.99  # the percentile of angles, at both ends, and of concentrations
SAMPLE = 2048


@dataclass(frozen=True, eq=False)
class Tissue:
    """Which of some pixels are tissue, (n,) uint8 with 1 for tissue, how many, and whether that is enough."""

    mask: NDArray[np.uint8]
    count: int
    status: StainStatus


def find_tissue(colours: Pixels, profile: Profile) -> Tissue:
    """Tissue among (n, 3) uint8 RGB pixels, C-order."""
    mask = profile.mask(colours, None)
    count = int(np.count_nonzero(mask.view(np.bool_)))  # of a mask, the fast one
    return Tissue(mask, count, guards.judge_tissue(count, len(colours)))


def optical_density(colours: Pixels, profile: Profile, real: np.dtype[Any]) -> Reals:
    """(3, n) planes of (n, 3) uint8 RGB pixels, in scratch memory: this thread's until the next call."""
    density = scratch("density", (3, len(colours)), real)
    _kernels.optical_density(colours.reshape(-1), profile.density.astype(real), density)
    return density


def fit_tissue(density: Reals, tissue: Tissue, profile: Profile) -> tuple[StainStatus, StainFit | None]:
    """Fit (3, n) optical density of enough tissue, in its precision; no fit unless the status is ok."""
    mask, pixels, real = tissue.mask, tissue.mask.size, density.dtype
    values = scratch("values", (pixels,), real)

    def ends(plane: NDArray[np.float64]) -> list[float]:
        _kernels.tissue_turns(density, mask, plane.astype(real), values)
        return [_end(values, sign, tissue.count) for sign in (-1.0, 1.0)]

    def strongest(unmix: NDArray[np.float64]) -> list[float]:
        strengths = []
        for stain in unmix.astype(real):
            _kernels.concentration(density, stain, values)
            strengths.append(interpolate(*_top(values, 1.0, pixels)))
        return strengths

    return fit_steps(_moments(density, mask), tissue.count, profile, ends, strongest)


def fit_steps(
    moments: NDArray[np.float64],
    count: int,
    profile: Profile,
    ends: Callable[[NDArray[np.float64]], list[float]],
    strongest: Callable[[NDArray[np.float64]], list[float]],
) -> tuple[StainStatus, StainFit | None]:
    """`judge_steps`, and the fit where the status is ok."""
    status, matrix, strengths = judge_steps(moments, count, profile, ends, strongest)
    return status, StainFit(matrix, strengths, profile.name) if status is StainStatus.OK else None


def judge_steps(
    moments: NDArray[np.float64],
    count: int,
    profile: Profile,
    ends: Callable[[NDArray[np.float64]], list[float]],
    strongest: Callable[[NDArray[np.float64]], list[float]],
) -> tuple[StainStatus, NDArray[np.float64], NDArray[np.float64]]:
    """The method itself, guard by guard: status, (3, 2) stain matrix and (2,) strengths, as far as it came.

    moments: (9,) of `count` tissue pixels, see `_kernels.tissue_moments`.
    ends: of the (3, 2) stain plane, the 1st and 99th percentile of the tissue's angles in it, radians.
    strongest: of the (2, 3) unmixing matrix, the 99th percentile of each stain's amount over all pixels.
    """
    matrix, strengths = np.empty((3, 2)), np.empty(2)
    status, vectors = _two_stains(moments, count)
    if status is StainStatus.OK:
        plane = profile.orient(vectors, moments[:3])
        matrix = _stain_matrix(plane, ends(plane), profile)
        status = guards.judge_matrix(matrix)
    if status is StainStatus.OK:
        strengths[:] = strongest(pseudo_inverse(matrix))
        status = guards.judge_strength(matrix, strengths)
    return status, matrix, strengths


def check_given(moments: NDArray[np.float64], tissue: Tissue, fit: StainFit) -> StainStatus:
    """Whether a fit made elsewhere can be that of enough tissue with these (9,) moments."""
    status, _ = _two_stains(moments, tissue.count)
    return status if status is not StainStatus.OK else guards.judge_given(moments[:3] / tissue.count, fit)


def _moments(density: Reals, mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(9,) moments of the tissue among (3, n) optical density."""
    moments = np.empty(9)
    _kernels.tissue_moments(density, mask, moments)
    return moments


def _two_stains(moments: NDArray[np.float64], tissue: int) -> tuple[StainStatus, NDArray[np.float64]]:
    """Whether the tissue's (9,) moments can be those of H&E, and its principal axes, (3, 3) in columns."""
    mean = moments[:3] / tissue
    variances, vectors = _principal_axes(moments, tissue)
    over_noise, _ = _principal_axes(moments * _noise_units(mean), tissue)
    status = guards.judge_spread(variances, over_noise)
    return status if status is not StainStatus.OK else guards.judge_colour(mean), vectors


def _principal_axes(
    moments: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    variances, vectors = np.empty(3), np.empty((3, 3))
    _kernels.principal_axes(moments, count, np.empty((3, 3)), variances, vectors)
    return variances, vectors


def _noise_units(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """(9,) what moments are multiplied with so that noise of a size in grey levels is alike in all channels.

    Noise of s grey levels is s / I in optical density; I is taken at the tissue's mean density, (3,).
    """
    red, green, blue = np.exp(-mean).tolist()
    return np.array(
        [red, green, blue, red * red, red * green, red * blue, green * green, green * blue, blue * blue]
    )


def _stain_matrix(plane: NDArray[np.float64], ends: Sequence[float], profile: Profile) -> NDArray[np.float64]:
    """(3, 2) stain vectors at two angles, radians, in the plane; haematoxylin has the larger red part."""
    matrix: NDArray[np.float64] = plane @ np.array([[math.cos(a) for a in ends], [math.sin(a) for a in ends]])
    if matrix[0, 0] < matrix[0, 1]:
        matrix = matrix[:, ::-1].copy()
    if profile.unit:
        matrix /= np.linalg.norm(matrix, axis=0)
    return matrix


def _end(turns: Reals, sign: float, count: int) -> float:
    """The angle, radians, at the 99th percentile of sign * turns: interpolated as an angle."""
    low, high, fraction = _top(turns, sign, count)
    return interpolate(angle_of(sign * low), angle_of(sign * high), fraction)


def _top(values: Reals, sign: float, count: int) -> tuple[float, float, float]:
    """The order statistics below and above the 99th percentile of sign * values, and how far between it lies.

    values: (n,), of which `count` are not NaN.
    """
    position = TOP_SHARE * (count - 1)
    below = int(position)
    above_it = count - 1 - below
    real = values.dtype.type
    tail = scratch("tail", values.shape, values.dtype)
    for limit in (_sampled_limit(values, sign), real(-np.inf)):
        kept = _kernels.keep_from(values, real(sign), limit, tail)
        if kept > above_it:
            break
    rank = kept - 1 - above_it
    following = min(rank + 1, kept - 1)
    kept_sorted: Reals = np.partition(tail[:kept], (rank, following))
    return float(kept_sorted[rank]), float(kept_sorted[following]), position - below


def _sampled_limit(values: Reals, sign: float) -> Any:
    """Below the 99th percentile almost surely: by five deviations of its rank in a sample.

    The sample is evenly spaced, by an odd step, so that it does not run down a few columns of a tile.
    """
    sample = sign * values[:: (len(values) // SAMPLE) | 1]
    sample = sample[sample == sample]
    expected = (1 - TOP_SHARE) * len(sample)
    rank = len(sample) - 1 - int(expected + 5 * math.sqrt(expected) + 2)
    return values.dtype.type(np.partition(sample, rank)[rank] if rank > 0 else -np.inf)


def angle_of(turn: float) -> float:
    """The angle, radians, of a direction as `_kernels.tissue_turns` measures it."""
    x = 1.0 - abs(turn)
    return math.atan2(math.copysign(1.0 - abs(x), turn), x)
