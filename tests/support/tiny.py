"""The tiny models under tests/data, made by make_tiny_model.py, and tiles that fit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from her2edge import Model, Tile
from her2edge_training import synthetic

DATA = Path(__file__).resolve().parents[1] / "data"
INT8, FP32 = DATA / "tiny-int8.tflite", DATA / "tiny-fp32.tflite"
SIZE = Model.load(INT8).tile_px
MPP = Model.load(INT8).mpp


def tissue(count: int, first: int = 0) -> list[Tile]:
    """Synthetic tissue tiles in a row, of all three classes."""
    tiles = []
    for i in range(first, first + count):
        slide = synthetic.make_slide_model(synthetic.LABELS[i % 3], synthetic.SITES[0], 40 + i % 9)
        pixels = synthetic.make_tile(slide, i, SIZE, MPP).pixels
        tiles.append(Tile(pixels, x=float(i * SIZE), span=(float(SIZE), float(SIZE)), mpp=MPP, slide="row"))
    return tiles


def glass() -> np.ndarray:
    """A tile of glass, (SIZE, SIZE, 3) uint8 RGB."""
    return np.full((SIZE, SIZE, 3), 245, np.uint8)
