"""Words in pictures: what OpenCV's font can draw, in lines that fit."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.tile import Pixels

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK = (40, 40, 40)
SIZE = 0.5  # of the font, unless another is said


def plain(text: str) -> str:
    """`text` as OpenCV can draw it."""
    return text.replace("µ", "u").encode("ascii", "replace").decode()  # Hershey fonts know ASCII only


def width_of(text: str) -> int:
    """Pixels that one line takes at size 0.5."""
    return int(cv2.getTextSize(plain(text), FONT, SIZE, 1)[0][0])


def wrapped(text: str, width: int) -> list[str]:
    """`text` as lines that OpenCV can draw within `width` pixels at size 0.5."""
    lines = [""]
    for word in plain(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if width_of(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def write_line(picture: Pixels, text: str, left: int, baseline: int, size: float = SIZE) -> None:
    """Draw a line, as `plain` has it, into an (h, w, 3) uint8 RGB picture, from (left, baseline), pixels."""
    cv2.putText(picture, plain(text), (left, baseline), FONT, size, INK, 1, cv2.LINE_AA)


def stamp(picture: Pixels, text: str, x: int, y: int, size: float = SIZE) -> None:
    """Draw a letter or two with a white rim, its middle at (x, y), into an (h, w, 3) uint8 RGB picture.

    Readable on any colour; one that would reach over the picture's edge is left out.
    """
    rim, ink = _glyph(plain(text), size)
    height, width = ink.shape
    top, left = y - height // 2, x - width // 2
    if top < 0 or left < 0 or top + height > picture.shape[0] or left + width > picture.shape[1]:
        return
    patch = picture[top : top + height, left : left + width]
    for mask, colour in ((rim, 255), (ink, 0)):
        share = mask[..., None]
        patch[:] = (patch * (1 - share) + colour * share).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _glyph(text: str, size: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w) float32 0..1 each: how much a text and the rim around it cover of each pixel."""
    width, height = cv2.getTextSize(text, FONT, size, 1)[0]
    canvas = np.zeros((height + 24, width + 24, 3), np.uint8)
    cv2.putText(canvas, text, (12, height + 12), FONT, size, (255, 255, 255), 1, cv2.LINE_AA)
    grey = canvas[..., 0]
    ys, xs = np.nonzero(grey)
    box = grey[ys.min() - 2 : ys.max() + 3, xs.min() - 2 : xs.max() + 3]
    rim = cv2.dilate(box, np.ones((5, 5), np.uint8))
    return np.asarray(rim / 255, np.float32), np.asarray(box / 255, np.float32)
