"""Flips and right-angle turns of a crop, straight into the memory of its batch: tissue has no up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from her2edge.tile import Pixels


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a square: rows become columns, then upside down, then left to right."""

    transposed: bool = False
    flips: tuple[bool, bool] = (False, False)

    def into(self, crop: Pixels, out: Pixels) -> None:
        """Write a (t, t, 3) uint8 crop, so laid, to `out` of that shape, C-order."""
        if self.transposed:
            crop = transposed(crop)
        if self.flips == (False, False):
            np.copyto(out, crop)
        else:  # OpenCV's code: 0 upside down, 1 left to right, -1 both
            cv2.flip(crop, {(True, False): 0, (False, True): 1, (True, True): -1}[self.flips], dst=out)


def transposed(crop: Pixels) -> Pixels:
    """Rows for columns, C-order: NumPy's view of it would be copied byte by byte."""
    return np.asarray(cv2.transpose(crop), np.uint8)


def draw_turn(augmentations: tuple[str, ...], random: np.random.Generator) -> Turn:
    """A turn by the recipe's `augmentations`: flips, then a quarter turn counter-clockwise, 0 to 3 times."""
    down = right = False
    if "flip" in augmentations:
        down, right = (bool(flip) for flip in random.integers(2, size=2))
    quarters = int(random.integers(4)) if "rotate90" in augmentations else 0
    if quarters == 1:
        return Turn(True, (not right, down))
    if quarters == 3:
        return Turn(True, (right, not down))
    return Turn(False, (down ^ (quarters == 2), right ^ (quarters == 2)))
