"""Some tiles of many: of every slide one before a second of any."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from her2edge_training.cohort.tile_list import TileRecord


def spread(records: Sequence[TileRecord], random: np.random.Generator) -> list[TileRecord]:
    """All records in an order that takes one tile of every slide before a second of any."""
    slides: dict[str, list[TileRecord]] = {}
    for index in random.permutation(len(records)):
        slides.setdefault(records[index].slide, []).append(records[index])
    rounds = zip_longest(*slides.values())
    return [record for tiles in rounds for record in tiles if record is not None]
