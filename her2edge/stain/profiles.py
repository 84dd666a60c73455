"""Profiles: what the public implementations of Macenko's method do differently, each under its name.

On one tile, with one target, they differ by up to 33 grey levels on average, so a result means
something only with its profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge import _kernels
from her2edge.errors import OptionError
from her2edge.stain.fit import StainFit
from her2edge.stain.percentile import percentile_of_counts
from her2edge.tile import Pixels

Mask = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Profile:
    """One convention.

    white:   Io, the grey value of light through no stain.
    density: (256,) float64, the optical density of each grey value, natural log.
    axes:    the columns of the ascending eigenvectors that span the stain plane, in their order.
    brightest: the highest grey value of tissue in any channel; -1 where only `mask` can say what is tissue.
    plus_one: density is -ln((grey value + 1) / Io), without exceptions, so that it needs no table.
    red_up:  eigenvectors are turned to a red component >= 0; else towards the mean optical density.
    unit:    stain vectors have length 1.
    mask:    colours (n, 3) uint8 RGB and the number of pixels of each (None: 1) -> (n,) uint8, 1 for tissue.
    target:  the published target; None where there is none and one must be fitted.
    """

    name: str
    white: float
    density: NDArray[np.float64]
    axes: tuple[int, int]
    brightest: int
    plus_one: bool
    red_up: bool
    unit: bool
    mask: Callable[[Pixels, NDArray[np.int64] | None], Mask]
    target: StainFit | None

    def orient(self, vectors: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, 2) stain plane from (3, 3) eigenvectors in columns, by ascending eigenvalue."""
        plane = vectors[:, self.axes]
        towards = plane[0] if self.red_up else mean @ plane
        return np.ascontiguousarray(plane * np.where(towards < 0, -1.0, 1.0))


def find_profile(name: str) -> Profile:
    """The named profile; raises OptionError with the known names."""
    if name not in PROFILES:
        raise OptionError(f"found stain profile {name!r}, expected one of {', '.join(PROFILES)}")
    return PROFILES[name]


def _dark(colours: Pixels, _: NDArray[np.int64] | None) -> Mask:
    """Every channel's optical density is at least 0.15 (natural log): no grey value above 205."""
    mask = np.empty(len(colours), np.uint8)
    _kernels.dark_mask(colours.reshape(-1), np.uint8(_BRIGHTEST), mask)
    return mask


def _dim(colours: Pixels, weights: NDArray[np.int64] | None) -> Mask:
    """CIELAB lightness below 0.8 of its range, after the contrast of all channels together is stretched."""
    stretched = _stretch(_levels(colours, weights))[colours]
    mask = np.empty(len(colours), np.uint8)
    for start in range(0, len(colours), _BAND):
        band = stretched[start : start + _BAND].reshape(1, -1, 3)
        mask[start : start + _BAND] = cv2.cvtColor(band, cv2.COLOR_RGB2LAB)[0, :, 0] < 0.8 * 255
    return mask


def _levels(colours: Pixels, weights: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(256,) how often each grey value occurs in all channels together."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(colours), _BAND):  # bincount makes int64 of what it counts
        band = colours[start : start + _BAND].reshape(-1)
        of_each = None if weights is None else np.repeat(weights[start : start + _BAND], 3)
        counts += np.bincount(band, of_each, minlength=256).astype(np.int64)
    return counts


def _stretch(levels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(256,) uint8 table that maps the 2nd..98th percentile of the levels to 0..255, truncated."""
    grey = np.arange(256.0)
    low, high = (percentile_of_counts(grey, levels, share) for share in (0.02, 0.98))
    if low >= high:
        low, high = grey[levels > 0][[0, -1]]
    if low >= high:
        return np.arange(256, dtype=np.uint8)
    table: NDArray[np.float64] = (np.clip(grey, low, high) - low) / (high - low) * 255.0
    return table.astype(np.uint8)


def _absorbance(light: NDArray[np.float64], white: float) -> NDArray[np.float64]:
    return np.asarray(-np.log(light / white))


_BAND = 1 << 18  # pixels at a time, so that whole images need no more memory than tiles
_GREY = np.arange(256.0)
_TORCHSTAIN_DENSITY = _absorbance(_GREY + 1, 240.0)
_BRIGHTEST = int(np.flatnonzero(_TORCHSTAIN_DENSITY >= 0.15)[-1])

# Reference stains of the original Macenko code, which torchstain also uses.
MACENKO = StainFit(
    np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]]), np.array([1.9705, 1.0308])
)
TARGETS = {"macenko": MACENKO}

PROFILES = {
    "torchstain": Profile(
        "torchstain",
        240.0,
        _TORCHSTAIN_DENSITY,
        (1, 2),
        brightest=_BRIGHTEST,
        plus_one=True,
        red_up=False,
        unit=False,
        mask=_dark,
        target=MACENKO,
    ),
    "tiatoolbox": Profile(
        "tiatoolbox",
        255.0,
        np.maximum(_absorbance(np.maximum(_GREY, 1), 255.0), 1e-6),
        (2, 1),
        brightest=-1,
        plus_one=False,
        red_up=True,
        unit=True,
        mask=_dim,
        target=None,
    ),
}
