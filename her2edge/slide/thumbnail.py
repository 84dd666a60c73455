"""A small picture of the whole slide, drawn block by block so that memory stays bounded."""

from __future__ import annotations

import logging

import numpy as np

from her2edge.errors import SlideReadError
from her2edge.slide.sample import best_level, sample
from her2edge.slide.sources import Source
from her2edge.tile import Pixels

_READ_PX = 2048  # side of what one block reads from the slide, pixels of the level used


def draw_thumbnail(source: Source, max_px: int, name: str) -> Pixels:
    """(h, w, 3) uint8 RGB with the longer side at most `max_px`; unreadable blocks white, with a warning."""
    width, height = source.dimensions
    scale = max(1.0, max(width, height) / max_px)
    rows, columns = (max(1, round(side / scale)) for side in (height, width))
    out = np.full((rows, columns, 3), 255, np.uint8)
    per_pixel = scale / source.levels[best_level(source.levels, scale)].downsample
    block = max(1, int(_READ_PX / per_pixel))
    lost = 0
    for top in range(0, out.shape[0], block):
        for left in range(0, out.shape[1], block):
            part = out[top : top + block, left : left + block]
            try:
                part[:] = sample(source, left * scale, top * scale, scale, part.shape[0], part.shape[1])
            except SlideReadError:
                lost += 1
    if lost:
        logging.getLogger("her2edge").warning(
            "%s: %d part(s) of the thumbnail cannot be decoded and stay white", name, lost
        )
    return out
