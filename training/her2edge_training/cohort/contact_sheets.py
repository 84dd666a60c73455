"""A contact sheet of each class: some of its tiles, so that one sees what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from her2edge.errors import Her2EdgeError
from her2edge.files import ensure_folder, forget, write_bytes
from her2edge.results.drawing import plain, width_of, write_line
from her2edge.results.scale_bar import with_scale_bar
from her2edge.slide import encode_png, read_image
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_training.cohort.tile_list import TileRecord

T = TypeVar("T")

CONTACT = "contact"  # a folder beside tiles/
_COLUMNS, _ROWS = 8, 6
_SIDE, _GAP, _LINE = 160, 8, 20  # px
_SMALL = 0.35  # of the font


def write_contact_sheets(records: Sequence[TileRecord], labels: Sequence[str], out: Path) -> None:
    """OUT/contact/<label>.png for each label that has tiles. Raises OutputError."""
    ensure_folder(out / CONTACT, inside=out)
    for label in labels:
        own = [record for record in records if record.label == label]
        sheet = out / CONTACT / f"{_file_name(label)}.png"
        if own:
            write_bytes(sheet, encode_png(draw_contact_sheet(own)))
        else:
            forget(out / CONTACT, sheet.name)


def _file_name(label: str) -> str:
    """`0-1+` for `0/1+`: a label is any text."""
    name = "".join(one if one.isalnum() or one in "+-_" else "-" for one in label)
    return name or "-"


def draw_contact_sheet(records: Sequence[TileRecord]) -> Pixels:
    """(h, w, 3) uint8 RGB of the tiles of one label, of as many slides as there is room for.

    Each tile stands under its slide and place, the whole of it, and all have one scale where their own is
    one: then there is a scale bar. A tile that cannot be read stays white.
    """
    shown = _choice(records, _COLUMNS * _ROWS)
    rows = -(-len(shown) // _COLUMNS)
    cell = _SIDE + _GAP
    sheet = np.full((2 * _LINE + rows * (cell + _LINE), _COLUMNS * cell + _GAP, 3), 255, np.uint8)
    slides, groups = {record.slide for record in records}, {record.group for record in records}
    write_line(
        sheet,
        f"{records[0].label}: {len(shown)} of {len(records)} tiles, {len(slides)} slide(s), "
        f"{len(groups)} patient(s)",
        _GAP,
        _LINE,
    )
    scales: set[float] = set()
    for number, record in enumerate(shown):
        left = _GAP + number % _COLUMNS * cell
        top = 2 * _LINE + number // _COLUMNS * (cell + _LINE) + _LINE
        try:
            pixels = read_image(record.path)
        except Her2EdgeError:
            continue
        factor = _SIDE / max(pixels.shape[:2])
        scales.add(round(record.mpp / factor, 3))
        height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        sheet[top : top + height, left : left + width] = small
        write_line(sheet, _words(record), left, top - 6, _SMALL)
    below = with_scale_bar(sheet, scales.pop()) if len(scales) == 1 else sheet
    write_line(below, RESEARCH_USE, below.shape[1] - width_of(RESEARCH_USE) - _GAP, below.shape[0] - 8)
    return below


def _words(record: TileRecord) -> str:
    """As much of the slide's name as fits, its end left out; and the corner."""
    place = "" if record.x is None or record.y is None else f" {record.x:.0f},{record.y:.0f}"
    name = plain(record.slide)
    while name and width_of(name + place) * _SMALL * 2 > _SIDE:
        name = name[:-1]
    return name + place


def _choice(records: Sequence[TileRecord], most: int) -> list[TileRecord]:
    """At most `most`, in their order: of every slide as many as of the others, far from each other."""
    by_slide: dict[str, list[TileRecord]] = {}
    for record in records:
        by_slide.setdefault(record.slide, []).append(record)
    slides = _spread(list(by_slide.values()), most)
    taken = [0] * len(slides)
    left = min(most, sum(map(len, slides)))
    while left:
        for number, tiles in enumerate(slides):
            if left and taken[number] < len(tiles):
                taken[number] += 1
                left -= 1
    return [one for tiles, count in zip(slides, taken, strict=True) for one in _spread(tiles, count)]


def _spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most`, at even distances."""
    if len(items) <= most:
        return list(items)
    return [items[(2 * number + 1) * len(items) // (2 * most)] for number in range(most)]
