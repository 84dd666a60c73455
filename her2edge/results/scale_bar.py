"""Scale bars of a round length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from her2edge.results.drawing import INK, width_of, write_line
from her2edge.tile import Pixels

MOST = 0.25  # of a picture's width
_PLATE = 8  # px of white around the bar and its words
_THICK, _WORDS = 5, 18  # px
PLATE = _THICK + _WORDS + 2 * _PLATE  # px, its height


@dataclass(frozen=True)
class ScaleBar:
    """um: its length, 1, 2 or 5 times a power of ten; px: the same in the picture; words: as printed."""

    um: float
    px: float
    words: str


def scale_bar(um_per_px: float, width: float, most: float = MOST) -> ScaleBar:
    """The longest round bar that takes at most the share `most` of a picture.

    um_per_px: of the picture, not of the slide's level 0, above 0. width: of the picture, pixels.
    """
    longest = um_per_px * width * most
    power = 10.0 ** math.floor(math.log10(longest))
    um = next(factor * power for factor in (5, 2, 1) if factor * power <= longest * (1 + 1e-9))
    return ScaleBar(um, um / um_per_px, _words(um))


def _words(um: float) -> str:
    for unit, size in (("cm", 1e4), ("mm", 1e3), ("µm", 1.0)):
        if um >= size:
            return f"{um / size:g} {unit}"
    return f"{1000 * um:g} nm"


def draw_scale_bar(picture: Pixels, um_per_px: float) -> None:
    """Draw a bar and its length on a white plate into the lower left of an (h, w, 3) uint8 RGB picture.

    It covers what is there; a picture too small for a plate gets none. See `with_scale_bar`.
    """
    bar = scale_bar(um_per_px, picture.shape[1])
    length, height = max(1, round(bar.px)), picture.shape[0]
    wide = max(length, width_of(bar.words)) + 2 * _PLATE
    if wide > picture.shape[1] or height < PLATE:
        return
    top = height - PLATE
    picture[top:, :wide] = 255
    write_line(picture, bar.words, _PLATE, top + _PLATE + _WORDS - 6)
    below = height - _PLATE
    cv2.rectangle(picture, (_PLATE, below - _THICK), (_PLATE + length - 1, below - 1), INK, cv2.FILLED)


def with_scale_bar(picture: Pixels, um_per_px: float) -> Pixels:
    """The (h, w, 3) uint8 RGB picture with a bar on a white strip of PLATE pixels below it."""
    below = np.pad(picture, ((0, PLATE), (0, 0), (0, 0)), constant_values=255)
    draw_scale_bar(below, um_per_px)
    return below
