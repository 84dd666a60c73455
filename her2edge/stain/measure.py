"""Stain matrix and maximal concentrations of pixels: Macenko et al. 2009, by exact order statistics.

Two precisions: float64 agrees with the reference implementations to 1e-9, float32 is faster. A percentile is
an order statistic, found without sorting: a sample of 2,000 pixels gives a limit that the wanted value is
almost surely above, one pass over the pixels computes two values of each and keeps what is above their
limits, and a partition of those does the rest; where the sample misled, all are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge import _eigen_kernels, _kernels
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
_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True, eq=False)
class Tissue:
    """Which of some pixels are tissue, (n,) uint8 with 1 for tissue, how many, and whether that is enough.

    moments: (9,) of their optical density, see `_kernels.tissue_moments`. mask: this thread's until the next
    tile.
    """

    mask: NDArray[np.uint8]
    count: int
    status: StainStatus
    moments: NDArray[np.float64]


def measure_tissue(colours: Pixels, profile: Profile, real: np.dtype[Any]) -> tuple[Tissue, Reals]:
    """Tissue among (n, 3) uint8 RGB pixels, C-order, and the optical density of all, (3, n) planes.

    The density is in scratch memory: this thread's until the next call.
    """
    density, grey = scratch("density", (3, len(colours)), real), scratch_grey()
    mask, moments = tissue_mask(colours, profile), np.empty(9)
    od = density_of_greys(profile, real)
    count = _kernels.look(colours.reshape(-1), profile.brightest, od, grey, mask, density, moments)
    return Tissue(mask, count, guards.judge_tissue(count, len(colours)), moments), density


def tissue_mask(colours: Pixels, profile: Profile) -> NDArray[np.uint8]:
    """(n,) uint8 for `_kernels.look`: scratch memory to fill, or the mask where it does not fill it."""
    if profile.brightest < 0:
        return profile.mask(colours, None)
    return scratch("mask", (len(colours),), _BYTE)


def density_of_greys(profile: Profile, real: np.dtype[Any]) -> Reals:
    """The od that `_kernels.optical_density` takes."""
    if profile.plus_one and real == np.float32:
        return np.array([math.log(profile.white)], real)
    return profile.density.astype(real)


def scratch_grey() -> NDArray[Any]:
    """(3, BLOCK) uint8 for `_kernels.optical_density`."""
    return scratch("planes", (3, _kernels.BLOCK), _BYTE)


def fit_tissue(density: Reals, tissue: Tissue, profile: Profile) -> tuple[StainStatus, StainFit | None]:
    """Fit (3, n) optical density of enough tissue, in its precision; no fit unless the status is ok."""
    mask, pixels, real = tissue.mask, tissue.mask.size, density.dtype
    # an odd step, so that the sample does not run down a few columns of a tile
    step = (pixels // SAMPLE) | 1
    sample, sampled = density[:, ::step].copy(), mask[::step].copy()
    values = np.empty((2, sampled.size), real)

    def ends(plane: NDArray[np.float64]) -> list[float]:
        plane = plane.astype(real)
        _kernels.tissue_turns(*sample, sampled, plane, values[1])
        np.negative(values[1], out=values[0])
        tops = _tops(_kernels.top_turns, (density, mask, plane), values, int(sampled.sum()), tissue.count)
        return [
            interpolate(angle_of(sign * low), angle_of(sign * high), fraction)
            for sign, (low, high, fraction) in zip((-1.0, 1.0), tops, strict=True)
        ]

    def strongest(unmix: NDArray[np.float64]) -> list[float]:
        unmix = unmix.astype(real)
        for stain in (0, 1):
            _kernels.concentration(*sample, unmix[stain], values[stain])
        tops = _tops(_kernels.top_concentrations, (density, unmix), values, sampled.size, pixels)
        return [interpolate(*top) for top in tops]

    return fit_steps(tissue.moments, tissue.count, profile, ends, strongest)


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


def check_given(tissue: Tissue, fit: StainFit) -> StainStatus:
    """Whether a fit made elsewhere can be that of this tissue, of which there is enough."""
    status, _ = _two_stains(tissue.moments, tissue.count)
    if status is not StainStatus.OK:
        return status
    return guards.judge_given(tissue.moments[:3] / tissue.count, fit)


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
    _eigen_kernels.principal_axes(moments, count, np.empty((3, 3)), variances, vectors)
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


def _tops(
    keep: Callable[..., None], of: tuple[Reals, ...], sample: Reals, sampled: int, count: int
) -> list[tuple[float, float, float]]:
    """Of two values of `count` pixels each: the order statistics below and above the 99th percentile, and
    how far between it lies.

    keep: kernel that computes the values, with its first arguments, `of`. sample: (2, m) of them, of which
    `sampled` are no NaN.
    """
    position = TOP_SHARE * (count - 1)
    above = count - 1 - int(position)
    real, block = sample.dtype, _kernels.BLOCK
    values, flags = scratch("block", (2, block), real), scratch("flags", (block,), _BYTE)
    kept, tops = np.empty(2, np.int64), scratch("tops", (2, of[0].shape[1] + 1), real)
    for limits in (_limits(sample, sampled), np.full(2, -np.inf, real)):
        keep(*of, limits, values, flags, flags.view(np.int64), tops, kept)
        if kept.min() > above:
            break
    return [
        (*_neighbours(top[:size], above), position - int(position))
        for top, size in zip(tops, kept, strict=True)
    ]


def _neighbours(top: Reals, above: int) -> tuple[float, float]:
    """Of values (k,), which are reordered: the one that `above` are not below, and the next larger."""
    rank = len(top) - 1 - above
    top.partition(rank)  # NumPy is seven times as slow for two ranks as for one
    return float(top[rank]), float(top[rank + 1 :].min() if above else top[rank])


def _limits(sample: Reals, sampled: int) -> Reals:
    """Two values below the 99th percentiles almost surely: by five deviations of their rank in the sample."""
    expected = (1 - TOP_SHARE) * sampled
    rank = sampled - 1 - int(expected + 5 * math.sqrt(expected) + 2)
    if rank <= 0:
        return np.full(2, -np.inf, sample.dtype)
    return np.partition(sample, rank)[:, rank].copy()  # NaN comes last


def angle_of(turn: float) -> float:
    """The angle, radians, of a direction as `_kernels.tissue_turns` measures it."""
    x = 1.0 - abs(turn)
    return math.atan2(math.copysign(1.0 - abs(x), turn), x)
