"""A contact sheet: images before and after, side by side, each pair under a line of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from her2edge.results.drawing import plain, write_line
from her2edge.tile import Pixels

SIDE = 320  # px, of one picture
GAP, LINE = 12, 24  # px
PAIRS_PER_ROW = 2


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures (h, w, 3) uint8 RGB, at most SIDE long, and what is said of them."""

    before: Pixels
    after: Pixels
    words: str

    @classmethod
    def of(cls, before: Pixels, after: Pixels, words: str) -> Pair:
        """Two (h, w, 3) uint8 RGB images made small."""
        return cls(_small(before), _small(after), words)

    @property
    def height(self) -> int:
        """Pixels."""
        return max(len(self.before), len(self.after))


def draw_contact_sheet(pairs: Sequence[Pair], notice: str) -> Pixels:
    """(h, w, 3) uint8 RGB: two pairs a row, each under its words; the notice below.

    The images are of unknown scale, so that there is no scale bar.
    """
    width = PAIRS_PER_ROW * (2 * SIDE + 3 * GAP)
    rows = [pairs[first : first + PAIRS_PER_ROW] for first in range(0, len(pairs), PAIRS_PER_ROW)]
    tall = [max(pair.height for pair in row) for row in rows]
    sheet = np.full((2 * LINE + GAP + sum(tall) + len(rows) * (LINE + GAP), width, 3), 255, np.uint8)
    top = 2 * LINE
    for row, height in zip(rows, tall, strict=True):
        for column, pair in enumerate(row):
            left = column * width // PAIRS_PER_ROW + GAP
            for picture, at, words in (
                (pair.before, left, "before"),
                (pair.after, left + SIDE + GAP, "after"),
            ):
                if top == 2 * LINE:
                    _write(sheet, words, at, LINE - 4)
                sheet[top : top + picture.shape[0], at : at + picture.shape[1]] = picture
            _write(sheet, pair.words, left, top - 8)
        top += height + LINE + GAP
    _write(sheet, notice, GAP, sheet.shape[0] - 8)
    return sheet


def _small(pixels: Pixels) -> Pixels:
    """The whole image, its longer side at most SIDE; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _write(sheet: Pixels, text: str, left: int, baseline: int) -> None:
    write_line(sheet, plain(text)[:90], left, baseline, 0.45)
