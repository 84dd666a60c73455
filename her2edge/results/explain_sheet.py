"""The picture of an explanation: the tile beside its overlay, what is explained above, the notice below."""

from __future__ import annotations

import cv2
import numpy as np

from her2edge.explain import Explanation
from her2edge.results.heatmap import FONT, INK, wrapped
from her2edge.tile import Pixels

SIDE = 384  # px, of a picture at least: a smaller tile is enlarged
GAP, LINE = 12, 22  # px
SCALE = "Grad-CAM, on a scale of its own for each tile: red speaks most for"


def draw_explanation(
    explanation: Explanation, pixels: Pixels, labels: tuple[str, ...], notice: str
) -> Pixels:
    """(h, w, 3) uint8 RGB of one explained (tile_px, tile_px, 3) uint8 RGB tile."""
    side = max(SIDE, pixels.shape[0])
    tile = np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    width = 2 * side + 3 * GAP
    above = wrapped(words(explanation, labels), width - 2 * GAP)
    below = wrapped(f"{SCALE} {explanation.label}, blue does not.", width - 2 * GAP)
    below += wrapped(notice, width - 2 * GAP)
    top = GAP + LINE * len(above)
    sheet = np.full((top + side + GAP + LINE * len(below) + GAP, width, 3), 255, np.uint8)
    sheet[top : top + side, GAP : GAP + side] = tile
    sheet[top : top + side, 2 * GAP + side : 2 * GAP + 2 * side] = explanation.overlay(tile)
    for number, line in enumerate(above, start=1):
        _write(sheet, line, LINE * number - 2)
    for number, line in enumerate(below, start=1):
        _write(sheet, line, top + side + GAP + LINE * number - 8)
    return sheet


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


def _write(sheet: Pixels, text: str, baseline: int) -> None:
    cv2.putText(sheet, text, (GAP, baseline), FONT, 0.5, INK, 1, cv2.LINE_AA)
