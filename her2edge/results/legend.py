"""What stands below a class map: classes with letters and shares, opacity, why others have none; words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from her2edge.answer import SlideAnswer
from her2edge.answer.counts import share_word
from her2edge.results.class_map import BLEACH, VEIL, opacity_of
from her2edge.results.colours import FAILED_COLOUR, LEFT_OUT_COLOUR, Colour
from her2edge.results.drawing import INK, stamp, width_of, wrapped, write_line
from her2edge.results.hatching import hatching
from her2edge.results.marks import class_marks, reason_marks
from her2edge.text import percent
from her2edge.tile import Outcome, Pixels

LINE = 26  # px per line
MARGIN, BOX, GAP = 12, 20, 18  # px
_RAMP, _HATCH = 120, 44  # px

Painter = Callable[[Pixels], None]


@dataclass(frozen=True, eq=False)
class Item:
    """A box and what it stands for. paint: fills the box, (BOX, width, 3) uint8 RGB, white before."""

    paint: Painter
    words: str
    width: int = BOX


def class_items(answer: SlideAnswer, colours: Mapping[str, Colour]) -> list[Item]:
    """A box with colour and letter for each label, with its share; then how opacity is to be read."""
    marks = class_marks(list(colours))
    items = [
        Item(_filled(colour, marks[label]), f"{label}  {share_word(answer, label)}")
        for label, colour in colours.items()
    ]
    least = percent(1 / len(colours))
    words = f"stronger colour: surer, probability {least} to {percent(1.0)}"
    return [*items, Item(_ramp(list(colours.values())), words, _RAMP)]


def reason_items(counts: Mapping[str, int]) -> list[Item]:
    """A hatched box with its letter for each reason that tiles have, by number of tiles."""
    marks = reason_marks()
    return [
        Item(_hatched(reason, marks.get(reason, "")), f"{reason.replace('_', ' ')} {count}", _HATCH)
        for reason, count in counts.items()
        if count
    ]


def unread_items(unread: int, *, outside: bool) -> list[Item]:
    """Boxes for places that were not read, and for what is outside the regions that were asked for."""
    items = [Item(_grey(1 - VEIL, VEIL * 128), f"not read {unread}")] if unread else []
    return items + ([Item(_grey(1 - BLEACH, BLEACH * 255), "outside the regions")] if outside else [])


def draw_legend(width: int, rows: Sequence[Sequence[Item]], text: Sequence[str]) -> Pixels:
    """(h, width, 3) uint8 RGB: each row of items on a line of its own or more, then the text, wrapped."""
    flowed = [line for row in rows for line in _flowed(row, width)]
    words = [line for one in text if one for line in wrapped(one, width - 2 * MARGIN)]
    legend = np.full((LINE * (len(flowed) + len(words)) + 20, width, 3), 255, np.uint8)
    for number, items in enumerate(flowed):
        left, top = MARGIN, 10 + LINE * number
        for item in items:
            box = legend[top : top + BOX, left : left + item.width]
            item.paint(box)
            cv2.rectangle(legend, (left, top), (left + item.width - 1, top + BOX - 1), INK, 1)
            write_line(legend, item.words, left + item.width + 6, top + 15)
            left += _length(item)
    for number, line in enumerate(words, start=len(flowed)):
        write_line(legend, line, MARGIN, 10 + LINE * number + 15)
    return legend


def _flowed(items: Sequence[Item], width: int) -> list[list[Item]]:
    """Items as lines that fit, one at least on each."""
    lines: list[list[Item]] = []
    used = width
    for item in items:
        if used + _length(item) - GAP > width - MARGIN:
            lines.append([])
            used = MARGIN
        lines[-1].append(item)
        used += _length(item)
    return lines


def _length(item: Item) -> int:
    return item.width + 6 + width_of(item.words) + GAP


def _filled(colour: Colour, letter: str) -> Painter:
    def paint(box: Pixels) -> None:
        box[:] = colour
        stamp(box, letter, box.shape[1] // 2, box.shape[0] // 2)

    return paint


def _ramp(colours: Sequence[Colour]) -> Painter:
    """Stripes of the classes, from unsure to sure, on mid-grey tissue."""

    def paint(box: Pixels) -> None:
        classes = len(colours)
        edges = np.linspace(0, box.shape[0], classes + 1).astype(int)
        sure = np.linspace(1 / classes, 1, box.shape[1])
        opacity = np.array([opacity_of(one, classes) for one in sure])[:, None]
        for number, colour in enumerate(colours):
            box[edges[number] : edges[number + 1]] = 160 * (1 - opacity) + np.array(colour) * opacity

    return paint


def _hatched(reason: str, letter: str) -> Painter:
    def paint(box: Pixels) -> None:
        dark = FAILED_COLOUR if reason == Outcome.FAILED else LEFT_OUT_COLOUR
        box[hatching(reason, *box.shape[:2])] = dark
        stamp(box, letter, box.shape[1] // 2, box.shape[0] // 2)

    return paint


def _grey(share: float, more: float) -> Painter:
    """Tissue and glass as they look there."""

    def paint(box: Pixels) -> None:
        half = box.shape[1] // 2
        box[:, :half] = int(110 * share + more)
        box[:, half:] = int(245 * share + more)

    return paint
