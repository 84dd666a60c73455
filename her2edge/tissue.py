"""The paper's tissue filter: a tile is background when most of its grey values are bright."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.errors import OptionError
from her2edge.scratch import scratch
from her2edge.tile import Pixels, check_inside

_EXACT = 1 << 24  # pixels that OpenCV counts exactly, in float32


@dataclass(frozen=True)
class TissueFilter:
    """Background when the share of grey values in low..high (inclusive) is >= share.

    Grey is OpenCV's: (9798 R + 19235 G + 3735 B + 16384) >> 15. The defaults are those of Joshi et
    al. 2025 (doi 10.48084/etasr.12140): 180..255, 60 %.
    """

    low: int = 180
    high: int = 255
    share: float = 0.60

    def __post_init__(self) -> None:
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        if not (whole and 0 <= self.low <= self.high <= 255):
            raise OptionError(
                f"found grey bounds {self.low}..{self.high}, expected whole, 0 <= low <= high <= 255"
            )
        if not (isinstance(self.share, int | float) and 0 < self.share <= 1):
            raise OptionError(f"found background share {self.share}, expected more than 0 and at most 1")

    @property
    def brightest_tissue(self) -> float:
        """Mean grey above which no tile is tissue, whatever its pixels; infinite where white is none of the
        rule's background."""
        if self.high < 255:
            return math.inf
        return (1 - self.share) * (self.low - 1) + self.share * 255

    def background_share(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> float:
        """Share, 0..1, of the valid part of an (h, w, 3) uint8 RGB tile whose grey is in low..high.

        Raises TileError for another shape or dtype.
        """
        return measure_light(self, check_inside(pixels, valid)).background

    def is_background(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> bool:
        """Whether the background share reaches the limit; exact at the boundary."""
        return self.background_share(pixels, valid) >= self.share

    def histogram(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> NDArray[np.int64]:
        """(256,) how often each grey value occurs in the valid part of an (h, w, 3) uint8 RGB tile.

        OpenCV counts: a loop of ours is no faster. Raises TileError for another shape or dtype.
        """
        inside = check_inside(pixels, valid)
        counts = np.zeros(256, np.int64)
        band = max(1, _EXACT // inside.shape[1])
        for top in range(0, inside.shape[0], band):
            grey = cv2.cvtColor(inside[top : top + band], cv2.COLOR_RGB2GRAY)
            counts += cv2.calcHist([grey], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
        return counts


@dataclass(frozen=True, eq=False)
class Light:
    """Of a tile's valid pixels: share of background, of glass, 0..1; (h, w) uint8 grey.

    glass: grey of 235 and more without colour, the brightest channel at most 16 above the darkest. grey: this
    thread's until it measures another tile.
    """

    background: float
    glass: float
    grey: NDArray[np.uint8]


def measure_light(rule: TissueFilter, inside: Pixels) -> Light:
    """`Light` of (h, w, 3) uint8 RGB that the caller has checked, in one pass."""
    height, width = inside.shape[:2]
    grey, counts = scratch("grey", (height * width,), np.dtype(np.uint8)), np.empty(2, np.int64)
    planes, seen = np.empty((4, kernels.BLOCK), np.uint8), np.empty((2, kernels.BLOCK), np.uint8)
    flat = np.ascontiguousarray(inside).reshape(-1)
    kernels.bright_and_glass(flat, rule.low, rule.high, planes, seen, grey, counts)
    background, glass = (counts / (height * width)).tolist()
    return Light(background, glass, grey.reshape(height, width))
