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
    """Two pictures (SIDE, SIDE, 3) uint8 RGB and what is said of them."""

    before: Pixels
    after: Pixels
    words: str

    @classmethod
    def of(cls, before: Pixels, after: Pixels, words: str) -> Pair:
        """Two (h, w, 3) uint8 RGB images made small."""
        return cls(_small(before), _small(after), words)


def draw_contact_sheet(pairs: Sequence[Pair], notice: str) -> Pixels:
    """(h, w, 3) uint8 RGB: two pairs a row, each under its words; the notice below."""
    width = PAIRS_PER_ROW * (2 * SIDE + 3 * GAP)
    rows = -(-len(pairs) // PAIRS_PER_ROW)
    sheet = np.full((2 * LINE + GAP + rows * (SIDE + LINE + GAP), width, 3), 255, np.uint8)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, PAIRS_PER_ROW)
        left = column * width // PAIRS_PER_ROW + GAP
        top = 2 * LINE + row * (SIDE + LINE + GAP)
        if row == 0:
            _write(sheet, "before", left, LINE - 4)
            _write(sheet, "after", left + SIDE + GAP, LINE - 4)
        sheet[top : top + SIDE, left : left + SIDE] = pair.before
        sheet[top : top + SIDE, left + SIDE + GAP : left + 2 * SIDE + GAP] = pair.after
        _write(sheet, pair.words, left, top - 8)
    _write(sheet, notice, GAP, sheet.shape[0] - 8)
    return sheet


def _small(pixels: Pixels) -> Pixels:
    """The whole image within a SIDE x SIDE square, on white; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return picture


def _write(sheet: Pixels, text: str, left: int, baseline: int) -> None:
    write_line(sheet, plain(text)[:90], left, baseline, 0.45)
