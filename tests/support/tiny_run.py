"""A training run of seconds: a network of a few hundred weights in the place of 25 million."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from her2edge.stain import StainMode
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.run.finish import RunResult
from her2edge_training.run.train import train

STAGES = (
    Stage(tile_px=32, epochs=3, learning_rate=1e-2, batch=8, crops_per_tile=2),
    Stage(tile_px=64, epochs=2, learning_rate=1e-3, batch=4),
)
RECIPE = Recipe(
    "tiny", "se_resnet50", STAGES, tile_px=64, stain=Stain(StainMode.OFF), batch_norm_momentum=0.5
)


def small(recipe: Recipe, tile_px: int) -> Any:
    """A network of a few hundred weights in the place of 25 million."""
    pixels = keras.Input((tile_px, tile_px, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    # no bias: batch norm takes it away again, and Adam would walk it by rounding alone
    x = keras.layers.Conv2D(8, 3, strides=4, use_bias=False)(x)
    x = keras.layers.BatchNormalization(name="dense_bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="features")(x))
    x = keras.layers.Dropout(0.25, name="dropout")(x)
    return keras.Model(pixels, keras.layers.Dense(len(recipe.labels), dtype="float32")(x))


def run(manifest: Path, out: Path, recipe: Recipe = RECIPE, **options: Any) -> tuple[RunResult, list[str]]:
    lines: list[str] = []
    return train(recipe, manifest, out, report=lines.append, build=small, **options), lines


def log_of(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))
