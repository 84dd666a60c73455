"""A cohort small enough for tests: coloured noise that looks a little like tissue, one hue per class."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from her2edge_training.cohort.tile_list import LABELS, NAME, TileRecord, write_tile_list

_RGB = ((200, 150, 190), (150, 90, 160), (110, 60, 130), (170, 60, 100))  # more stain from class to class


def write_cohort(
    folder: Path, slides: int = 4, tiles: int = 3, px: int = 64, labels: tuple[str, ...] = LABELS
) -> Path:
    """`labels` (four at most) x `slides` x `tiles` PNG tiles of `px`; returns the tile list's path."""
    random = np.random.default_rng(5)
    records: list[TileRecord] = []
    for c, label in enumerate(labels):
        for s in range(slides):
            for t in range(tiles):
                noise = random.normal(0, 12, (px, px, 3)) + random.normal(0, 25, (px, px, 1))
                pixels = np.clip(noise + _RGB[c], 0, 255).astype(np.uint8)
                name = f"c{c}-s{s}-t{t}.png"
                cv2.imwrite(str(folder / name), pixels[:, :, ::-1])
                digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
                who = (f"slide{c}{s}", f"patient{c}{s}", "site", label)
                records.append(TileRecord(name, folder, *who, t * px, 0, 0.25, 0.95, digest))
    write_tile_list(folder / NAME, records, share_digits=2)
    return folder / NAME
