"""The paper's tissue filter: a tile is background when most of its grey values are bright."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge import _quality_kernels as kernels
from her2edge.errors import OptionError
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

    def background_share(self, pixels: Pixels, valid: tuple[int, int] | None = None) -> float:
        """Share, 0..1, of the valid part of an (h, w, 3) uint8 RGB tile whose grey is in low..high.

        Raises TileError for another shape or dtype.
        """
        return bright_share(self, check_inside(pixels, valid))

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


def bright_share(rule: TissueFilter, inside: Pixels) -> float:
    """`TissueFilter.background_share` of (h, w, 3) uint8 RGB that the caller has checked."""
    return bright_shares(rule, inside)[0]


def bright_shares(rule: TissueFilter, inside: Pixels) -> tuple[float, float]:
    """`bright_share`, and the share of glass, 0..1, in one pass: grey of 235 and more without colour.

    Without colour: the brightest channel is at most 16 above the darkest.
    """
    # grey in low..high without the shift: (s + 16384) >> 15 >= low is s >= (low << 15) - 16384
    low, above = ((grey << 15) - 16384 for grey in (rule.low, rule.high + 1))
    block, seen = (np.empty((2, kernels.BLOCK), np.int32) for _ in range(2))
    counts = np.empty(2, np.int64)
    kernels.bright_and_glass(np.ascontiguousarray(inside).reshape(-1), low, above, block, seen, counts)
    bright, glass = (counts / (inside.shape[0] * inside.shape[1])).tolist()
    return bright, glass
