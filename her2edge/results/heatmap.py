"""heatmap.png: the slide with its tiles coloured by class, and a legend that says what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from her2edge.answer import SlideAnswer
from her2edge.answer.counts import counted, tissue_words
from her2edge.answer.words import answer_line
from her2edge.files import write_bytes
from her2edge.results.class_map import Inside, Places, draw_class_map
from her2edge.results.colours import Colour
from her2edge.results.legend import class_items, draw_legend, reason_items, unread_items
from her2edge.results.scale_bar import PLATE, draw_scale_bar
from her2edge.results.slide_info import SlideInfo
from her2edge.slide import encode_png
from her2edge.tile import Pixels, TileResult

MIN_WIDTH = 860  # px, so that the legend fits


def write_heatmap(
    path: Path,
    thumbnail: Pixels,
    results: Iterable[TileResult],
    slide: SlideInfo,
    answer: SlideAnswer,
    colours: Mapping[str, Colour],
    words: tuple[str, ...],
    inside: Inside | None = None,
) -> None:
    """Paint results on an (h, w, 3) uint8 RGB thumbnail of the whole slide and write it as PNG.

    colours: by label, in the model's order. words: what stands below the answer, a paragraph each: the model,
    the notice. inside: where alone tiles were to be read; None: everywhere.
    """
    places = Places.of(results, slide, tuple(colours))
    unread = answer.tiles.unread
    picture = draw_class_map(thumbnail, places, slide, colours, partly=unread > 0, inside=inside)
    height, across = picture.shape[:2]
    width = max(MIN_WIDTH, across)
    hatched = reason_items(_reasons(places))
    others = unread_items(unread, outside=inside is not None)
    numbers = "; ".join(filter(None, (*counted(answer), tissue_words(answer))))
    text = (numbers, f"{answer_line(answer)} - {slide.name}", *words)
    legend = draw_legend(width, (class_items(answer, colours), [*hatched, *others]), text)
    barred = slide.mpp is not None and slide.width is not None
    below_picture = height + (PLATE if barred else 0)
    page = np.full((below_picture + len(legend), width, 3), 255, np.uint8)
    page[:height, :across], page[below_picture:] = picture, legend
    del picture
    if slide.mpp is not None and slide.width is not None:
        draw_scale_bar(page[:below_picture, :across], slide.mpp * slide.width / across)
    write_bytes(path, encode_png(page))


def _reasons(places: Places) -> dict[str, int]:
    """How many tiles have no colour, by why, in the order of `marks.REASONS`."""
    counts = Counter(places.kind[places.kind >= places.classes].tolist())
    return {places.names[kind]: counts[kind] for kind in sorted(counts)}
