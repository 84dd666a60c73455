"""Network inputs that travel with a model to check a machine: synthetic, never a patient's pixels."""

from __future__ import annotations

import numpy as np

from her2edge.stain import MacenkoNormalizer, StainMode
from her2edge.tile import LABELS, Pixels
from her2edge_training.recipe import Recipe
from her2edge_training.synthetic import SITES, make_slide_model, make_tile

SEED = 20260


def golden_tiles(recipe: Recipe) -> Pixels:
    """(2, tile_px, tile_px, 3) uint8 RGB: a tile of synthetic 0/1+ and 3+, SDK-normalised."""
    tiles = []
    for label in (LABELS[0], LABELS[-1]):
        slide = make_slide_model(label, SITES[0], SEED)
        pixels = make_tile(slide, 0, recipe.tile_px, recipe.mpp).pixels
        if recipe.stain.mode != StainMode.OFF:
            pixels = MacenkoNormalizer(profile=recipe.stain.profile).normalize(pixels).pixels
        tiles.append(pixels)
    return np.stack(tiles)
