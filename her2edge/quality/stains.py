"""Whether two stains can be told apart in a tile, whatever is then done with its stains."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge import _quality_kernels as kernels
from her2edge.stain.guards import StainStatus, judge_tissue
from her2edge.stain.measure import TOP_SHARE, judge_steps
from her2edge.stain.profiles import find_profile
from her2edge.stain.scratch import scratch
from her2edge.tile import Pixels

SAMPLE = 1 << 12  # pixels at least, where a tile has as many
_TORCHSTAIN = find_profile("torchstain")
_DENSITY = _TORCHSTAIN.density.astype(np.float32)


@functools.cache
def _brightest() -> int:
    """The brightest grey that counts as tissue; at the first call, since it compiles a kernel."""
    greys = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    return int(np.flatnonzero(_TORCHSTAIN.mask(greys, None))[-1])


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
    kernels.sample_density(inside, step, _DENSITY, _brightest(), density, mask)
    tissue = density[:, mask.view(np.bool_)]
    status = judge_tissue(tissue.shape[1], pixels)
    if status is StainStatus.OK:
        status = _fit(density, mask, tissue)
    return status is StainStatus.OK


def _fit(density: NDArray[np.float32], mask: NDArray[np.uint8], tissue: NDArray[np.float32]) -> StainStatus:
    """What the guards say of a fit of (3, n) optical density, of which (3, k) is tissue."""

    def ends(plane: NDArray[np.float64]) -> list[float]:
        along, across = (_weighted(tissue, axis) for axis in plane.T.tolist())
        angles = np.arctan2(across, along)
        low, high = (round(share * (angles.size - 1)) for share in (1 - TOP_SHARE, TOP_SHARE))
        ordered = np.partition(angles, (low, high))
        return [float(ordered[low]), float(ordered[high])]

    def strongest(unmix: NDArray[np.float64]) -> list[float]:
        rank = round(TOP_SHARE * (density.shape[1] - 1))
        return [float(np.partition(_weighted(density, stain), rank)[rank]) for stain in unmix.tolist()]

    moments = np.empty(9)
    _kernels.tissue_moments(density, mask, moments)
    status, _, _ = judge_steps(moments, tissue.shape[1], _TORCHSTAIN, ends, strongest)
    return status


def _weighted(density: NDArray[np.float32], weights: list[float]) -> NDArray[np.float32]:
    """(n,) the weighted sum of three planes; NumPy's own would go to a library with threads of its own."""
    red, green, blue = weights
    return np.asarray(density[0] * red + density[1] * green + density[2] * blue)
