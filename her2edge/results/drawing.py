"""Words in pictures: what OpenCV's font can draw, in lines that fit."""

from __future__ import annotations

import cv2

from her2edge.tile import Pixels

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK = (40, 40, 40)
SIZE = 0.5  # of the font, unless another is said


def plain(text: str) -> str:
    """`text` as OpenCV can draw it."""
    return text.encode("ascii", "replace").decode()  # Hershey fonts know ASCII only


def width_of(text: str) -> int:
    """Pixels that one line takes at size 0.5."""
    return int(cv2.getTextSize(text, FONT, SIZE, 1)[0][0])


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
    """Draw a line of `plain` text into an (h, w, 3) uint8 RGB picture, from (left, baseline), in pixels."""
    cv2.putText(picture, text, (left, baseline), FONT, size, INK, 1, cv2.LINE_AA)
