"""A training run of seconds: a network of a few hundred weights in the place of 25 million."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from her2edge.stain import StainMode
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.run.finish import RunResult
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.records import Epoch
from her2edge_training.run.train import train


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


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
    return keras.Model(pixels, keras.layers.Dense(len(recipe.labels), name="logits", dtype="float32")(x))


def run(tile_list: Path, out: Path, recipe: Recipe = RECIPE, **options: Any) -> tuple[RunResult, list[str]]:
    """What `train` makes of the tiny network, and its lines. options: of TrainOptions or `train`."""
    lines: list[str] = []
    made_with = {name: options.pop(name) for name in ("store", "build", "opened") if name in options}
    tiles = TileList.read(tile_list, recipe.labels)
    more: dict[str, Any] = {"build": small} | made_with
    result = train(recipe, tiles, out, TrainOptions(**options), report=lines.append, **more)
    return result, lines


def killed_at(method: str, call: int) -> type[NewRun]:
    """The run folder of a process that is killed instead of the n-th call of one of its methods."""
    calls = 0

    def dies(folder: NewRun, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise KilledError
        getattr(NewRun, method)(folder, *arguments)

    return type("KilledRun", (NewRun,), {method: dies})


def log_of(out: Path) -> tuple[Epoch, ...]:
    return RunFolder(out).log()


def edited(tile_list: Path, folder: Path, old: str, new: str) -> Path:
    """The cohort with the text of its list changed."""
    for tile in tile_list.parent.glob("*.png"):
        (folder / tile.name).symlink_to(tile)
    path = folder / "cohort.csv"
    path.write_text(tile_list.read_text().replace(old, new))
    return path
