"""A recipe with other values: by options of the command, or in its smallest size. Needs no Keras."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from her2edge.errors import OptionError
from her2edge_training.recipe import MINIMUM_TILE_PX, Recipe, Stage

_STEP = 32  # pixels: every backbone halves its input five times
_SMALL_PX, _SMALL_BATCH, _SMALL_TILES = 64, 4, 16
NO_WEIGHTS = "none"


@dataclass(frozen=True)
class Changes:
    """Values in the place of a recipe's; None leaves its own.

    weights:       "none" (random), "imagenet" or the path of a no-top .h5 file.
    epochs, batch: of every stage.
    learning_rate: of the first stage; the others keep their proportion to it.
    tile_px:       of the recipe, and of the stages that see whole tiles.
    """

    weights: str | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    tile_px: int | None = None
    mpp: float | None = None


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe with these values, which stand in its name too: `paper_resnet50+epochs=5` is another one.

    Raises OptionError for values that it cannot have.
    """
    given = {name: value for name, value in asdict(changes).items() if value is not None}
    if not given:
        return recipe
    own: dict[str, Any] = {name: given[name] for name in ("seed", "tile_px", "mpp") if name in given}
    if changes.weights is not None:
        own |= {"weights": _weights(changes.weights), "weights_sha256": None}
        given["weights"] = Path(changes.weights).name
    try:
        own["stages"] = tuple(_stage(stage, recipe, changes) for stage in recipe.stages)
        name = "+".join([recipe.name, *(f"{option}={_text(value)}" for option, value in given.items())])
        return replace(recipe, **own, name=name)
    except OptionError as error:
        raise OptionError(f"{recipe.name} with other values: {error}") from error


def _weights(text: str) -> str | None:
    return None if text.lower() == NO_WEIGHTS else text


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _stage(stage: Stage, recipe: Recipe, changes: Changes) -> Stage:
    rate = stage.learning_rate
    if changes.learning_rate is not None:
        rate = changes.learning_rate * (rate / recipe.stages[0].learning_rate)
    whole = changes.tile_px is not None and stage.tile_px == recipe.tile_px
    return replace(
        stage,
        epochs=stage.epochs if changes.epochs is None else changes.epochs,
        batch=stage.batch if changes.batch is None else changes.batch,
        learning_rate=rate,
        tile_px=changes.tile_px if whole else stage.tile_px,
    )


def smallest(recipe: Recipe) -> Recipe:
    """The same way through in seconds: one epoch a stage of few small crops, from random weights."""
    least = -(-MINIMUM_TILE_PX[recipe.architecture] // _STEP) * _STEP
    full = min(max(_SMALL_PX, least), recipe.tile_px)  # the tiles are of that size
    largest = max(stage.tile_px for stage in recipe.stages)
    stages = tuple(
        replace(
            stage,
            tile_px=min(max(least, full * stage.tile_px // largest // _STEP * _STEP), full),
            epochs=1,
            batch=_SMALL_BATCH * stage.crops_per_tile,
            tiles_per_epoch=min(stage.tiles_per_epoch or _SMALL_TILES, _SMALL_TILES),
        )
        for stage in recipe.stages
    )
    name = f"{recipe.name}_smoke"
    norms = None if recipe.norm_tiles is None else min(recipe.norm_tiles, _SMALL_TILES)
    small = replace(recipe, name=name, stages=stages, weights=None, weights_sha256=None, tile_px=full)
    return replace(small, norm_tiles=norms)
