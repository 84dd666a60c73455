"""Optical density in the stains of a target: one 3x3 matrix on every pixel, then light.

out = trunc(min(255, white * exp(-(T diag(maxC_T / maxC_F) pinv(F)) @ OD))), with T, F the (3, 2) stain
matrices of target and fit, maxC their maximal concentrations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.scratch import scratch
from her2edge.stain.fit import StainFit
from her2edge.stain.measure import Reals, Tissue
from her2edge.stain.profiles import Profile
from her2edge.tile import Pixels

_BYTE, _DOUBLE = np.dtype(np.uint8), np.dtype(np.float64)


def restain_density(density: Reals, fit: StainFit, target: StainFit, profile: Profile) -> Pixels:
    """(n, 3) uint8 pixels of (3, n) optical density, in its precision."""
    out = np.empty((density.shape[1], 3), np.uint8)
    mix, bounds = _matrix(fit, target, density.dtype), light_bounds(profile).astype(density.dtype)
    _kernels.restain(density, mix, bounds, _light(), out.reshape(-1))
    return out


def restain_pixels(
    colours: Pixels, tissue: Tissue, fit: StainFit, target: StainFit, profile: Profile, real: np.dtype[Any]
) -> tuple[Pixels, NDArray[np.float64]]:
    """(n, 3) uint8 pixels of (n, 3) uint8 RGB, and the (9,) moments of the tissue among them."""
    out, moments = np.empty(colours.shape, np.uint8), np.empty(9)
    _kernels.restain_whole(
        colours.reshape(-1),
        profile.density.astype(real),
        tissue.mask,
        _matrix(fit, target, real),
        light_bounds(profile).astype(real),
        scratch("strip", (3 * _kernels.STRIP,), real),
        _light(),
        scratch("part", (9,), _DOUBLE),
        moments,
        out.reshape(-1),
    )
    return out, moments


def light_bounds(profile: Profile) -> NDArray[np.float64]:
    """(4,) as `_kernels.restain` takes them: from light of half a grey level to just below 256."""
    shift, least, greatest = (
        math.log2(light) / 8 - _kernels.CENTRE for light in (profile.white, 0.5, 255.99)
    )
    return np.array([shift, least, greatest, 2 ** (8 * _kernels.CENTRE)])


def _matrix(fit: StainFit, target: StainFit, real: np.dtype[Any]) -> Reals:
    """(3, 3): optical density of the tile to that in the target's stains, in eighths of powers of two."""
    scale = target.max_concentration / fit.max_concentration
    mix = (target.stain_matrix * scale) @ fit.unmix
    return np.asarray(mix * (math.log2(math.e) / 8), dtype=real)


def _light() -> NDArray[Any]:
    return scratch("light", (3, _kernels.BLOCK), _BYTE)
