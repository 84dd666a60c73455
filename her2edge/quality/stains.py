"""Whether two stains can be told apart in a tile, whatever is then done with its stains."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge import _quality_kernels as kernels
from her2edge.scratch import scratch
from her2edge.stain.guards import StainStatus, judge_tissue
from her2edge.stain.measure import TOP_SHARE, angle_of, judge_steps
from her2edge.stain.profiles import find_profile
from her2edge.tile import Pixels

SAMPLE = 1 << 12  # pixels at least, where a tile has as many
_TORCHSTAIN = find_profile("torchstain")
_DENSITY = _TORCHSTAIN.density.astype(np.float32)


def has_stains(inside: Pixels) -> bool:
    """Whether a fit of some of the (h, w, 3) uint8 RGB pixels stands before the guards of `her2edge.stain`.

    The sample is every k-th pixel of every k-th row; the convention is torchstain's, so that the answer is a
    property of the pixels and the same in each stain mode.
    """
    height, width = inside.shape[:2]
    step = max(1, math.isqrt(height * width // SAMPLE))
    pixels = -(-height // step) * -(-width // step)
    density = scratch("sample", (3, pixels), _DENSITY.dtype)
    mask = scratch("sampled", (pixels,), np.dtype(np.uint8))
    kernels.sample_density(inside, step, _DENSITY, _TORCHSTAIN.brightest, density, mask)
    count = int(np.count_nonzero(mask))
    status = judge_tissue(count, pixels)
    if status is StainStatus.OK:
        status = _fit(density, mask, count)
    return status is StainStatus.OK


def _fit(density: NDArray[np.float32], mask: NDArray[np.uint8], count: int) -> StainStatus:
    """What the guards say of a fit of (3, n) optical density, `count` of whose pixels are tissue."""
    values = scratch("amounts", mask.shape, density.dtype)

    def ends(plane: NDArray[np.float64]) -> list[float]:
        _kernels.tissue_turns(*density, mask, plane.astype(density.dtype), values)
        low, high = (round(share * (count - 1)) for share in (1 - TOP_SHARE, TOP_SHARE))
        ordered = np.partition(values, (low, high))  # what is no tissue is NaN and comes last
        return [angle_of(float(ordered[low])), angle_of(float(ordered[high]))]

    def strongest(unmix: NDArray[np.float64]) -> list[float]:
        rank, amounts = round(TOP_SHARE * (values.size - 1)), []
        for stain in unmix.astype(density.dtype):
            _kernels.concentration(*density, stain, values)
            amounts.append(float(np.partition(values, rank)[rank]))
        return amounts

    moments = np.zeros(9)
    _kernels.tissue_moments(*density, mask, moments)
    status, _, _ = judge_steps(moments, count, _TORCHSTAIN, ends, strongest)
    return status
