"""her2edge train RECIPE and study RECIPE...: both train networks; Keras is imported late."""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge.extras import missing_extra
from her2edge.text import shown
from her2edge_cli.paths import PATH
from her2edge_training.recipe import PROTOCOLS, load_recipe, recipe_names

_devices = click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs or TPU cores that share each batch; more than 1 needs KERAS_BACKEND=jax.",
)

_workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads that prepare batches; more where tiles do not fit into memory.",
)


@click.command(epilog=f"Recipes: {', '.join(recipe_names())}, or the path of a .py file like them.")
@click.argument("recipe")
@click.option("--data", required=True, type=PATH, metavar="TILES", help="cohort.csv of the tiles.")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="New folder for the run.")
@click.option(
    "--from", "start", type=PATH, metavar="RUN", help="Begin with the best weights of this former run."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch that passes this time, then score.",
)
@_devices
@_workers
@click.option("--smoke", is_flag=True, help="The recipe's smallest size: shows that it runs, learns nothing.")
def train(
    recipe: str,
    data: Path,
    out: Path,
    start: Path | None,
    minutes: float | None,
    devices: int,
    workers: int,
    smoke: bool,
) -> None:
    """Train a network by RECIPE and score it once on held-out tiles."""
    chosen = load_recipe(recipe, smoke=smoke)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_training.cohort.tile_list import TileList
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.train import train as run_training
    except ImportError as error:
        raise missing_extra("train", error) from error
    result = run_training(
        chosen,
        TileList.read(data, chosen.labels),
        out,
        TrainOptions(start=start, minutes=minutes, devices=devices, workers=workers),
        report=click.echo,
    )
    click.echo(f"run: {result.run}")


@click.command()
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option("--data", required=True, type=PATH, metavar="TILES", help="cohort.csv of the tiles.")
@click.option("--out", required=True, type=PATH, metavar="STUDY", help="Folder for the runs.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Slide-grouped folds."
)
@click.option(
    "--protocol", "protocols", multiple=True, type=click.Choice(PROTOCOLS), help="Only these. Default: all."
)
@_devices
@_workers
@click.option(
    "--smoke", is_flag=True, help="The recipes' smallest sizes: shows that it runs, learns nothing."
)
def study(
    recipes: tuple[str, ...],
    data: Path,
    out: Path,
    folds: int,
    protocols: tuple[str, ...],
    devices: int,
    workers: int,
    smoke: bool,
) -> None:
    """Train networks once for each fold of each protocol: by tile, by slide, by site.

    Repeat the command to go on after an interruption. Then: her2edge evaluate STUDY.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_training.cohort.store import Stores
        from her2edge_training.cohort.tile_list import TileList
        from her2edge_training.evaluation.study import run_study
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.train import train
    except ImportError as error:
        raise missing_extra("train", error) from error
    chosen = [load_recipe(name, smoke=smoke) for name in recipes]
    options = TrainOptions(devices=devices, workers=workers)
    stores = Stores(options.cache_mib)
    run_study(
        chosen,
        TileList.read(data, chosen[0].labels),
        out,
        folds=folds,
        protocols=protocols or PROTOCOLS,
        train=lambda recipe, tiles, run: train(
            recipe, tiles, run, options, report=click.echo, store=stores.of(recipe.stain)
        ),
        report=click.echo,
    )
    click.echo(f"study: {shown(str(out))}")
