"""How far two aligned pictures are off: measured block by block, on blocks that took no part in the fit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.register.picture import HAEMATOXYLIN, Picture

BLOCK = 64  # px, side of a block
REACH = 32  # px, how far a block is looked for
MIN_BLOCKS = 6
LIMIT = 10.0  # px; blocks of unrelated pictures land anywhere within REACH, at 24 px in the median
_TEXTURE = 0.25  # of the picture's standard deviation; a block flatter than that cannot be found again


@dataclass(frozen=True)
class Residual:
    """median: um, of the distances at which the blocks fit best. limit: um, above it the fit is bad.

    blocks: how many were measured. median is NaN where there is none.
    """

    median: float
    limit: float
    blocks: int

    @property
    def good(self) -> bool:
        """Enough blocks, and half of them within the limit."""
        return self.blocks >= MIN_BLOCKS and self.median <= self.limit


def held_out(height: int, width: int) -> NDArray[np.float32]:
    """(h, w) float32, 1 in every second block of every second row of blocks: a quarter of the picture."""
    row, column = (np.arange(side) // BLOCK % 2 for side in (height, width))
    return np.asarray(np.outer(row, column), np.float32)


def measure(fixed: Picture, moved: Picture, seen: NDArray[np.float32], mpp: float) -> Residual:
    """Residual of a picture `moved` to the frame of `fixed`, both of `mpp` um per pixel.

    seen: (h, w), 1 where `moved` has pixels. Each held-out block of `fixed` is looked for within REACH of its
    place, by normalised correlation of haematoxylin.
    """
    here, there = (np.ascontiguousarray(picture[..., HAEMATOXYLIN]) for picture in (fixed, moved))
    flat = _TEXTURE * float(here.std())
    distances = []
    for top in range(BLOCK, here.shape[0] - BLOCK + 1, 2 * BLOCK):
        for left in range(BLOCK, here.shape[1] - BLOCK + 1, 2 * BLOCK):
            block = here[top : top + BLOCK, left : left + BLOCK]
            y, x = max(0, top - REACH), max(0, left - REACH)
            around = np.s_[y : top + BLOCK + REACH, x : left + BLOCK + REACH]
            if block.std() < flat or seen[around].mean() < 0.9 or there[around].std() < 1e-3:
                continue
            response = np.asarray(cv2.matchTemplate(there[around], block, cv2.TM_CCOEFF_NORMED), np.float32)
            _, _, _, (column, row) = cv2.minMaxLoc(response)
            across, down = _between(response[row], column), _between(response[:, column], row)
            distances.append(np.hypot(x + across - left, y + down - top))
    median = float(np.median(distances)) * mpp if distances else float("nan")
    return Residual(median, LIMIT * mpp, len(distances))


def _between(values: NDArray[np.float32], peak: int) -> float:
    """Where a parabola through the highest value and its neighbours has its top."""
    if not 0 < peak < len(values) - 1:
        return float(peak)
    before, here, after = (float(value) for value in values[peak - 1 : peak + 2])
    bend = before - 2 * here + after
    return peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)
