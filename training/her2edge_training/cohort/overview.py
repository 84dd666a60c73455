"""The overview of a slide: its regions, and what became of each tile in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from her2edge.model.classes import PAPER_CLASSES
from her2edge.regions.inside import Place
from her2edge.results.drawing import INK, stamp
from her2edge.results.legend import Item, draw_legend
from her2edge.results.marks import class_marks
from her2edge.results.scale_bar import with_scale_bar
from her2edge.slide import SlideReader
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_training.cohort.judge import Fate, Tally
from her2edge_training.cohort.label_from import LabelFrom
from her2edge_training.cohort.plan import Cutting, SlidePlan

Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels of the picture; the last two outside

_LONGEST, _NARROWEST = 1600, 640  # px
_FILL = 0.25  # of a cut tile: the tissue stays to be seen
_LEFT_OUT = (110, 110, 110)
_LETTER = 14  # px, of a tile that has room for one
_COLOURS = (*(one.color for one in PAPER_CLASSES), (118, 42, 131))
_WORDS = {
    Fate.GLASS: ("g", "glass"),
    Fate.PALE: ("p", "pale tissue"),
    Fate.TOO_LITTLE: ("l", "too little tissue"),
    Fate.BLACK: ("b", "black padding"),
    Fate.NO_STAIN: ("n", "no two stains"),
    Fate.UNREADABLE: ("u", "unreadable"),
}
_FROM: dict[LabelFrom, str] = {
    "regions": "Lines: regions as drawn.",
    "score": "Weak labels: every tile has the score of its slide, tumour or not.",
    "slide_folder": "Weak labels: every tile has the class of its slide's folder, tumour or not.",
}


def draw_overview(
    slide: SlideReader,
    plan: SlidePlan,
    cutting: Cutting,
    labels: Sequence[str],
    places: Sequence[Place],
    tally: Tally,
) -> Pixels:
    """(h, w, 3) uint8 RGB: the slide, cut tiles in the colour and with the letter of their class, the others
    crossed out with the letter of their reason, outlines of regions; a scale bar and a legend below.

    labels: of all classes, in their order. places: of the slide, in the order in which they were
    looked at; tally: of as many of them.
    """
    picture = slide.thumbnail(_LONGEST)
    dimensions = slide.dimensions
    assert picture is not None and dimensions is not None  # noqa: S101, PT018 - a folder is never planned
    scale = picture.shape[1] / dimensions[0]
    colours, marks = dict(zip(labels, _COLOURS, strict=False)), class_marks(list(labels))
    grid = slide.grid(cutting.size)
    for place, (label, fate) in zip(places, tally.fates, strict=False):
        left, top = (at * scale for at in grid.origin(place.column, place.row))
        box = round(left), round(top), round(left + grid.step * scale), round(top + grid.step * scale)
        if fate is Fate.CUT:
            _draw_cut(picture, box, colours.get(label, INK), marks[label])
        else:
            _draw_left_out(picture, box, _WORDS[fate][0])
    for outline in _outlines(plan):
        cv2.polylines(picture, [np.round(outline * scale).astype(np.int32)], True, INK, 2, cv2.LINE_AA)
    if picture.shape[1] < _NARROWEST:
        picture = np.pad(picture, ((0, 0), (0, _NARROWEST - picture.shape[1]), (0, 0)), constant_values=255)
    legend = draw_legend(
        picture.shape[1], _items(labels, colours, tally), _text(plan, cutting, len(places) - len(tally.fates))
    )
    mpp = plan.mpp if plan.mpp is not None else cutting.mpp
    return np.concatenate([with_scale_bar(picture, mpp / scale), legend])


def _draw_cut(picture: Pixels, box: Box, colour: tuple[int, int, int], letter: str) -> None:
    left, top, right, bottom = box
    inside = picture[top:bottom, left:right]
    inside[:] = (inside * (1 - _FILL) + np.array(colour) * _FILL).astype(np.uint8)
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, 1)
    _write(picture, box, letter)


def _draw_left_out(picture: Pixels, box: Box, letter: str) -> None:
    left, top, right, bottom = box
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _LEFT_OUT, 1)
    cv2.line(picture, (left, bottom - 1), (right - 1, top), _LEFT_OUT, 1, cv2.LINE_AA)
    _write(picture, box, letter)


def _write(picture: Pixels, box: Box, letter: str) -> None:
    left, top, right, bottom = box
    if right - left >= _LETTER:
        stamp(picture, letter, (left + right) // 2, (top + bottom) // 2)


def _outlines(plan: SlidePlan) -> Iterator[Any]:
    """(n, 2) float64 each, level-0 pixels, closed."""
    import shapely

    for region in plan.annotation.regions if plan.annotation else ():
        for polygon in shapely.get_parts(region.shape):
            for ring in (polygon.exterior, *polygon.interiors):
                yield np.asarray(shapely.get_coordinates(ring), np.float64)


def _items(
    labels: Sequence[str], colours: dict[str, tuple[int, int, int]], tally: Tally
) -> tuple[list[Item], list[Item]]:
    """Boxes of the classes that were cut, and of reasons for which tiles were left out, with counts."""
    counts = Counter(tally.fates)
    marks = class_marks(list(labels))
    classes = [
        Item(_filled(colours.get(label, INK), marks[label]), f"{label}  {counts[label, Fate.CUT]} cut")
        for label in labels
        if any(own == label for own, _ in tally.fates)
    ]
    left_out = Counter(fate for _, fate in tally.fates)
    reasons = [
        Item(_crossed(letter), f"{words} {left_out[fate]}")
        for fate, (letter, words) in _WORDS.items()
        if left_out[fate]
    ]
    return classes, reasons


def _text(plan: SlidePlan, cutting: Cutting, passed_over: int) -> tuple[str, ...]:
    side = cutting.tile_px * cutting.mpp
    return (
        f"{passed_over} tile(s) were not looked at: there were enough." if passed_over else "",
        f"{shown(plan.name)}: tiles of {cutting.tile_px} px, {side:.4g} um. {_FROM.get(plan.label_from, '')}",
        RESEARCH_USE,
    )


def _filled(colour: tuple[int, int, int], letter: str) -> Any:
    def paint(box: Pixels) -> None:
        box[:] = colour
        stamp(box, letter, box.shape[1] // 2, box.shape[0] // 2)

    return paint


def _crossed(letter: str) -> Any:
    def paint(box: Pixels) -> None:
        _draw_left_out(box, (0, 0, box.shape[1], box.shape[0]), letter)

    return paint
