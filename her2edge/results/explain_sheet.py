"""The picture of an explanation: the tile beside its overlay, what is explained above, the notice below."""

from __future__ import annotations

import cv2
import numpy as np

from her2edge.explain import Explanation, scale_colours
from her2edge.results.drawing import INK, wrapped, write_line
from her2edge.results.scale_bar import ScaleBar, scale_bar
from her2edge.tile import Pixels

SIDE = 384  # px, of a picture at least: a smaller tile is enlarged
GAP, LINE = 12, 22  # px
BAR = 160  # px, of the colour bar
SCALE = "Grad-CAM, on a scale of its own for each tile, in units of the logit: what speaks for"


def draw_explanation(
    explanation: Explanation, pixels: Pixels, labels: tuple[str, ...], notice: str, mpp: float
) -> Pixels:
    """(h, w, 3) uint8 RGB of one explained (tile_px, tile_px, 3) uint8 RGB tile of `mpp` um per pixel."""
    side = max(SIDE, pixels.shape[0])
    tile = np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    width = 2 * side + 3 * GAP
    above = wrapped(words(explanation, labels), width - 2 * GAP)
    below = wrapped(f"{SCALE} {explanation.label}.", width - 2 * GAP)
    below += wrapped(notice, width - 2 * GAP)
    top = GAP + LINE * len(above)
    sheet = np.full((top + side + GAP + LINE * (len(below) + 1) + GAP, width, 3), 255, np.uint8)
    sheet[top : top + side, GAP : GAP + side] = tile
    sheet[top : top + side, 2 * GAP + side : 2 * GAP + 2 * side] = explanation.overlay(tile)
    for number, line in enumerate(above, start=1):
        write_line(sheet, line, GAP, LINE * number - 2)
    _length(sheet, top + side + GAP, scale_bar(mpp * pixels.shape[1] / side, side))
    _bar(sheet, 2 * GAP + side, top + side + GAP, float(explanation.map.max()))
    for number, line in enumerate(below, start=2):
        write_line(sheet, line, GAP, top + side + GAP + LINE * number - 8)
    return sheet


def _length(sheet: Pixels, top: int, bar: ScaleBar) -> None:
    """The scale bar, under the tile."""
    right = GAP + max(1, round(bar.px))
    cv2.rectangle(sheet, (GAP, top + 6), (right - 1, top + 10), INK, cv2.FILLED)
    write_line(sheet, bar.words, right + 8, top + LINE - 8)


def _bar(sheet: Pixels, left: int, top: int, largest: float) -> None:
    """The colours from 0 to the map's largest value, under the overlay."""
    write_line(sheet, "0", left, top + LINE - 8)
    left += 16
    values = np.broadcast_to(np.linspace(0, 1, BAR), (LINE - 8, BAR))
    sheet[top : top + LINE - 8, left : left + BAR] = scale_colours(values)
    write_line(sheet, f"{largest:.2g}", left + BAR + 8, top + LINE - 8)


def words(explanation: Explanation, labels: tuple[str, ...]) -> str:
    """What is explained: the class, its probability, and the class predicted where that is another."""
    result = explanation.result
    text = f"{explanation.label}, probability {probability(explanation, labels):.3f}"
    if result.label == explanation.label:
        text += " (predicted)"
    else:
        text += f" (predicted: {result.label}, {result.confidence:.3f})"
    return text if explanation.map.any() else f"{text}: nothing in this tile speaks for it"


def probability(explanation: Explanation, labels: tuple[str, ...]) -> float:
    """Of the class explained, 0..1."""
    chances = explanation.result.probabilities
    return float("nan") if chances is None else float(chances[labels.index(explanation.label)])
