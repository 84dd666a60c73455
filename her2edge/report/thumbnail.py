"""A slide as small pictures for a table: the slide itself, and its class map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from her2edge.model.classes import LabelClass
from her2edge.report.class_map import Frame
from her2edge.report.pictures import THUMBNAIL_BYTES, THUMBNAIL_PX, jpeg_uri, png_uri, shrunk
from her2edge.tile import Outcome, Pixels, TileResult

PAPER, OUT, BACKGROUND = (255, 255, 255), (120, 120, 120), (232, 232, 232)


@dataclass(frozen=True)
class Thumbnails:
    """Data URIs; None for what there is not."""

    slide: str | None = None
    map: str | None = None


def thumbnails(
    overview: Pixels | None, tiles: Sequence[TileResult], frame: Frame | None, classes: Sequence[LabelClass]
) -> Thumbnails:
    """overview: (h, w, 3) uint8 RGB of the slide. The map has the same size, and a square for
    each tile as long as there are pixels: left out dark grey, background light grey, not read white."""
    small = None if overview is None else jpeg_uri(shrunk(overview, THUMBNAIL_PX), THUMBNAIL_BYTES)
    if frame is None:
        return Thumbnails(small)
    colours = {one.label: one.color for one in classes}
    picture = np.full((frame.rows, frame.columns, 3), PAPER, np.uint8)
    for one in tiles:
        column, row = frame.place(one)
        if one.pooled and one.label is not None:
            picture[row, column] = colours[one.label]
        else:
            picture[row, column] = BACKGROUND if one.outcome is Outcome.BACKGROUND else OUT
    scale = THUMBNAIL_PX / max(picture.shape[:2])
    size = (max(1, round(frame.columns * scale)), max(1, round(frame.rows * scale)))
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return Thumbnails(small, png_uri(picture))
