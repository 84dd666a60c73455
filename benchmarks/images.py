"""Tiles to measure with: whole crops of real H&E images, or synthetic tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from her2edge import TissueFilter
from her2edge.slide import list_images, read_image
from her2edge.tile import Pixels


def crops(folder: Path, size: int, most: int) -> list[Pixels]:
    """At most so many whole crops of the folder's images, spread evenly over all of them, tissue only."""
    found = [
        np.ascontiguousarray(image[y : y + size, x : x + size])
        for image in map(read_image, list_images(folder))
        for y in range(0, image.shape[0] - size + 1, size)
        for x in range(0, image.shape[1] - size + 1, size)
    ]
    rule = TissueFilter()
    tissue = [tile for tile in found if not rule.is_background(tile)]
    if not tissue:
        raise SystemExit(f"found no tissue of {size} px in {folder}: name a folder of larger H&E images")
    places = np.linspace(0, len(tissue) - 1, min(most, len(tissue))).round().astype(int)
    return [tissue[place] for place in places]


def synthetic_tiles(count: int, size: int) -> list[Pixels]:
    """So many tiles of synthetic tissue, each of another slide."""
    from her2edge_training import synthetic

    cohort = synthetic.make_cohort(count, seed=5)
    return [synthetic.make_tile(slide, 0, size).pixels for slide in cohort]
