"""heatmap.png: the slide with its tiles coloured by class, and a legend that says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.answer import SlideAnswer
from her2edge.answer.counts import counted, share_word, tissue_words
from her2edge.answer.words import answer_line
from her2edge.files import write_bytes
from her2edge.results.colours import FAILED_COLOUR, LEFT_OUT_COLOUR, Colour
from her2edge.results.drawing import width_of, wrapped, write_line
from her2edge.results.slide_info import SlideInfo
from her2edge.slide import encode_png
from her2edge.tile import Outcome, Pixels, TileResult

MIN_WIDTH = 860  # px, so that the legend fits
LINE = 26  # px per legend line
FAINT, STRONG = 0.15, 0.65  # opacity of a tile whose classes are all as probable, and of one at 1
STRIPE, PERIOD = 2, 8  # px, of the hatching of tiles that are left out
VEIL = 0.5  # of mid-grey, over places that were not read


def write_heatmap(
    path: Path,
    thumbnail: Pixels,
    results: Iterable[TileResult],
    slide: SlideInfo,
    answer: SlideAnswer,
    colours: Mapping[str, Colour],
    notice: str,
) -> None:
    """Paint results on an (h, w, 3) uint8 RGB thumbnail of the whole slide and write it as PNG.

    colours: by label, in the model's order. Tiles that are not pooled are hatched, whatever their class.
    """
    picture = _paint(thumbnail, results, slide, colours, partly=answer.tiles.unread > 0)
    width = max(MIN_WIDTH, picture.shape[1])
    picture = np.vstack([_pad_right(picture), _legend(width, slide, answer, colours, notice)])
    write_bytes(path, encode_png(picture))


def _paint(
    thumbnail: Pixels,
    results: Iterable[TileResult],
    slide: SlideInfo,
    colours: Mapping[str, Colour],
    *,
    partly: bool,
) -> Pixels:
    """partly: whether places were left unread, which is no glass: they stay under a veil."""
    grey = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)  # colour means class, and nothing else
    bare = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    picture = (bare * (1 - VEIL) + 128 * VEIL).astype(np.uint8) if partly else bare.copy()
    height, width = picture.shape[:2]
    across = width / (slide.width or width)
    down = height / (slide.height or height)
    hatched = _hatching(height, width)
    for result in results:
        left, top = round(result.x * across), round(result.y * down)
        right = min(width, round((result.x + result.span[0]) * across))
        bottom = min(height, round((result.y + result.span[1]) * down))
        patch = picture[top:bottom, left:right]
        if patch.size == 0:
            continue
        if partly:
            patch[:] = bare[top:bottom, left:right]
        if result.outcome is Outcome.FAILED:
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), FAILED_COLOUR, 1)
            cv2.line(picture, (left, top), (right - 1, bottom - 1), FAILED_COLOUR, 1)
        elif result.label is not None and not result.pooled:
            patch[hatched[top:bottom, left:right]] = LEFT_OUT_COLOUR
        elif result.label is not None and result.confidence is not None:
            opacity = _opacity(result.confidence, len(colours))
            patch[:] = (patch * (1 - opacity) + np.array(colours[result.label]) * opacity).astype(np.uint8)
    return picture


def _opacity(confidence: float, classes: int) -> float:
    sureness = (confidence - 1 / classes) / (1 - 1 / classes)
    return FAINT + (STRONG - FAINT) * max(0.0, sureness)


def _hatching(height: int, width: int) -> NDArray[np.bool_]:
    """(height, width), True on the stripes: one pattern, so that neighbours run into each other."""
    return np.asarray((np.arange(height)[:, None] + np.arange(width)) % PERIOD < STRIPE)


def _pad_right(picture: Pixels) -> Pixels:
    missing = max(0, MIN_WIDTH - picture.shape[1])
    return np.pad(picture, ((0, 0), (0, missing), (0, 0)), constant_values=255)


def _legend(
    width: int, slide: SlideInfo, answer: SlideAnswer, colours: Mapping[str, Colour], notice: str
) -> Pixels:
    """Class colours with shares, what is not pooled, the slide's answer, the notice; line by line."""
    text = (_others(answer), f"{answer_line(answer)} - {slide.name}", notice)
    lines = [line for words in text if words for line in wrapped(words, width - 24)]
    legend = np.full((LINE * (len(lines) + 1) + 20, width, 3), 255, np.uint8)
    left = 12
    for label, colour in colours.items():
        cv2.rectangle(legend, (left, 14), (left + 18, 32), colour, cv2.FILLED)
        left = _word(legend, f"{label}  {share_word(answer, label)}", left)
    out = sum(answer.tiles.left_out.values())
    if out:
        box = legend[14:33, left : left + 19]
        box[_hatching(*box.shape[:2])] = LEFT_OUT_COLOUR
        cv2.rectangle(legend, (left, 14), (left + 18, 32), FAILED_COLOUR, 1)
        left = _word(legend, f"left out {out}", left)
    for number, line in enumerate(lines, start=2):
        write_line(legend, line, 12, LINE * number + 5)
    return legend


def _word(legend: Pixels, text: str, left: int) -> int:
    """Write what a box stands for; where the next one begins."""
    write_line(legend, text, left + 26, 29)
    return left + 40 + width_of(text)


def _others(answer: SlideAnswer) -> str:
    """Tiles pooled, and those that are not, by what they are."""
    return "; ".join(filter(None, (*counted(answer), tissue_words(answer))))
