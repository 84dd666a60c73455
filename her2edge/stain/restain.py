"""Optical density in the stains of a target: one 3x3 matrix on every pixel, then light.

out = trunc(min(255, white * exp(-(T diag(maxC_T / maxC_F) pinv(F)) @ OD))), with T, F the (3, 2) stain
matrices of target and fit, maxC their maximal concentrations.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from her2edge import _kernels
from her2edge.scratch import scratch
from her2edge.stain import guards
from her2edge.stain.fit import StainFit
from her2edge.stain.measure import Reals, Tissue, density_of_greys, scratch_grey, tissue_mask
from her2edge.stain.profiles import Profile
from her2edge.tile import Pixels

_BYTE, _SINGLE = np.dtype(np.uint8), np.dtype(np.float32)
CENTRE = 7 / 16  # of the exponents that give light, in eighths: -1/8..1
# 2^t for t within 9/16 of 0 by Chebyshev interpolation, lowest power first; relative errors 6e-9 and 1.5e-10
_SINGLE_POWERS = (
    1.0,
    0.693147233600175,
    0.24022651155129404,
    0.05550276795175519,
    0.009618013023345414,
    0.0013418237438092811,
    0.00015476860687499964,
)
_DOUBLE_POWERS = (
    0.999999999896171,
    0.6931471805519562,
    0.24022651745939705,
    0.055504109472955185,
    0.009617963224108465,
    0.0013333430464246958,
    0.00015487354104675878,
    1.5317263654207332e-05,
)


def restain_density(density: Reals, fit: StainFit, target: StainFit, profile: Profile) -> Pixels:
    """(n, 3) uint8 pixels of (3, n) optical density, in its precision."""
    out = np.empty((density.shape[1], 3), np.uint8)
    light = restain_terms(fit, target, profile, density.dtype)
    _kernels.restain(*density, *light, out.reshape(-1))
    return out


def restain_pixels(
    colours: Pixels, fit: StainFit, target: StainFit, profile: Profile, real: np.dtype[Any]
) -> tuple[Pixels, Tissue]:
    """(n, 3) uint8 pixels of (n, 3) uint8 RGB, C-order, and the tissue among them."""
    out, mask, moments = np.empty(colours.shape, np.uint8), tissue_mask(colours, profile), np.empty(9)
    count = _kernels.restain_whole(
        colours.reshape(-1),
        profile.brightest,
        density_of_greys(profile, real),
        scratch_grey(),
        mask,
        scratch("strip", (3, _kernels.STRIP), real),
        moments,
        *restain_terms(fit, target, profile, real),
        out.reshape(-1),
    )
    return out, Tissue(mask, count, guards.judge_tissue(count, len(colours)), moments)


def restain_crop(
    pixels: Pixels,
    corner: tuple[int, int],
    flips: tuple[bool, bool],
    fit: StainFit,
    target: StainFit,
    profile: Profile,
    out: Pixels,
) -> None:
    """out (h, w, 3) uint8, C-order: what `restain_pixels` makes of a crop, flipped, in float32.

    pixels: (H, W, 3) uint8 RGB, C-order, of which the crop begins at `corner`, (row, column). flips: upside
    down, left to right.
    """
    (top, left), width = corner, pixels.shape[1]
    flat = pixels.reshape(-1)
    flat.flags.writeable = False  # as mapped ones are: Numba compiles for each of the two
    down, right = (-1 if flipped else 1 for flipped in flips)
    _kernels.restain_crop(
        flat,
        top * width + left,
        width,
        down,
        right,
        density_of_greys(profile, _SINGLE),
        scratch_grey(),
        scratch("row", (3 * out.shape[1],), _BYTE),
        scratch("rows", (3, out.shape[1]), _SINGLE),
        *restain_terms(fit, target, profile, _SINGLE),
        out,
    )


def restain_terms(fit: StainFit, target: StainFit, profile: Profile, real: np.dtype[Any]) -> tuple[Any, ...]:
    """mix, bounds, powers and light, as `_kernels.restain` takes them.

    mix: optical density of the tile to the exponent of light in the target's stains.
    """
    scale = target.max_concentration / fit.max_concentration
    mix = (target.stain_matrix * scale) @ fit.unmix
    eighths = np.asarray(mix * (-math.log2(math.e) / 8), dtype=real)
    return eighths, *light_terms(profile.white, real), scratch("light", (3, _kernels.BLOCK), _BYTE)


@functools.cache
def light_terms(white: float, real: np.dtype[Any]) -> tuple[Reals, tuple[Any, ...]]:
    """bounds: from light of half a grey level to just below 256. powers: of 2^(CENTRE + t), lowest first."""
    bounds = np.array([math.log2(light) / 8 - CENTRE for light in (white, 0.5, 255.99)], real)
    powers = _SINGLE_POWERS if real == _SINGLE else _DOUBLE_POWERS
    return bounds, tuple(real.type(power * 2**CENTRE) for power in powers)
