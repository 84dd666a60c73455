"""heatmap.png: the slide with its tiles coloured by class, and a legend that says what it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from her2edge.answer import SlideSummary
from her2edge.files import write_bytes
from her2edge.results.drawing import width_of, wrapped, write_line
from her2edge.results.geojson import COLORS, FAILED_COLOR
from her2edge.results.slide_info import SlideInfo
from her2edge.slide import encode_png
from her2edge.text import percent
from her2edge.tile import LABELS, Outcome, Pixels, TileResult

MIN_WIDTH = 860  # px, so that the legend fits
LINE = 26  # px per legend line
FAINT, STRONG = 0.15, 0.65  # opacity of a tile at confidence 1/3 and 1


def write_heatmap(
    path: Path,
    thumbnail: Pixels,
    results: Iterable[TileResult],
    slide: SlideInfo,
    summary: SlideSummary,
    notice: str,
) -> None:
    """Paint results on an (h, w, 3) uint8 RGB thumbnail of the whole slide and write it as PNG."""
    picture = _paint(thumbnail, results, slide)
    picture = np.vstack(
        [_pad_right(picture), _legend(max(MIN_WIDTH, picture.shape[1]), slide, summary, notice)]
    )
    write_bytes(path, encode_png(picture))


def _paint(thumbnail: Pixels, results: Iterable[TileResult], slide: SlideInfo) -> Pixels:
    grey = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)  # colour means class, and nothing else
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    height, width = picture.shape[:2]
    across = width / (slide.width or width)
    down = height / (slide.height or height)
    for result in results:
        left, top = round(result.x * across), round(result.y * down)
        right = min(width, round((result.x + result.span[0]) * across))
        bottom = min(height, round((result.y + result.span[1]) * down))
        patch = picture[top:bottom, left:right]
        if patch.size == 0:
            continue
        if result.outcome is Outcome.FAILED:
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), FAILED_COLOR, 1)
            cv2.line(picture, (left, top), (right - 1, bottom - 1), FAILED_COLOR, 1)
        elif result.label is not None and result.confidence is not None:
            sureness = (result.confidence - 1 / len(LABELS)) / (1 - 1 / len(LABELS))
            opacity = FAINT + (STRONG - FAINT) * max(0.0, sureness)
            patch[:] = (patch * (1 - opacity) + np.array(COLORS[result.label]) * opacity).astype(np.uint8)
    return np.asarray(picture, dtype=np.uint8)


def _pad_right(picture: Pixels) -> Pixels:
    missing = max(0, MIN_WIDTH - picture.shape[1])
    return np.pad(picture, ((0, 0), (0, missing), (0, 0)), constant_values=255)


def _legend(width: int, slide: SlideInfo, summary: SlideSummary, notice: str) -> Pixels:
    """Class colours with counts, the slide's answer, and the notice in the lines below."""
    answer = summary.label if summary.assessable else f"not assessable: {summary.reason}"
    lines = [line for text in (f"{answer} - {slide.name}", notice) for line in wrapped(text, width - 24)]
    legend = np.full((LINE * (len(lines) + 1) + 20, width, 3), 255, np.uint8)
    left = 12
    for label in LABELS:
        cv2.rectangle(legend, (left, 14), (left + 18, 32), COLORS[label], cv2.FILLED)
        text = f"{label}  {summary.classes[label]} tiles, {percent(summary.shares[label])}"
        write_line(legend, text, left + 26, 29)
        left += 40 + width_of(text)
    unread = summary.outcomes[Outcome.FAILED]
    text = f"background {summary.outcomes[Outcome.BACKGROUND]}" + (f", failed {unread}" if unread else "")
    write_line(legend, text, left, 29)
    for number, line in enumerate(lines, start=2):
        write_line(legend, line, 12, LINE * number + 5)
    return legend
