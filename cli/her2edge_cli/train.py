"""her2edge train RECIPE and study RECIPE...: both train networks; Keras is imported late."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.files import check_folder
from her2edge.text import shown
from her2edge_cli.paths import PATH
from her2edge_training.recipe import PROTOCOLS
from her2edge_training.recipes import load_recipe, recipe_names
from her2edge_training.run.new_run import NewRun

_devices = click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs or TPU cores that share each batch. More than 1 needs KERAS_BACKEND=jax.",
)

_workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads that prepare batches. More are useful if the tiles do not fit into memory.",
)


@click.command(epilog=f"Recipes: {', '.join(recipe_names())}, or the path of a .py file like them.")
@click.argument("recipe")
@click.option("--data", required=True, type=PATH, metavar="CSV", help="Tile list of the cohort.")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="New folder for the run.")
@click.option(
    "--from", "start", type=PATH, metavar="RUN", help="Start from the best weights of this former run."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch in which this time is up, then score.",
)
@_devices
@_workers
@click.option(
    "--smoke",
    is_flag=True,
    help="The recipe's smallest size: it shows that training runs and learns nothing.",
)
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
    """Train a network by a recipe and score it.

    The score is measured once, on held-out tiles.
    """
    chosen = load_recipe(recipe, smoke=smoke)
    NewRun(out).refuse_other()  # before the seconds that Keras takes
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.cohort.tile_list import TileList
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.train import train as run_training
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
@click.option("--data", required=True, type=PATH, metavar="CSV", help="Tile list of the cohort.")
@click.option("--out", required=True, type=PATH, metavar="STUDY", help="Folder for the runs.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of slide-grouped folds."
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    type=click.Choice(PROTOCOLS),
    help="Protocol to train for; may be repeated. Default: all.",
)
@_devices
@_workers
@click.option(
    "--smoke",
    is_flag=True,
    help="The recipes' smallest sizes: they show that training runs and learn nothing.",
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
    """Train networks on each fold of each protocol.

    The protocols split the tiles by tile, by slide and by site. After an interruption, run the same command
    again to resume. Then: her2edge evaluate STUDY.
    """
    check_folder(out)
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.cohort.store import Stores
        from her2edge_training.cohort.tile_list import TileList
        from her2edge_training.evaluation.study import StudyOptions, run_study
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.train import train
    chosen = [load_recipe(name, smoke=smoke) for name in recipes]
    options = TrainOptions(devices=devices, workers=workers)
    stores = Stores(options.cache_mib)
    run_study(
        chosen,
        TileList.read(data, chosen[0].labels),
        out,
        StudyOptions(folds, protocols or PROTOCOLS),
        train=lambda recipe, tiles, run: train(
            recipe, tiles, run, options, report=click.echo, store=stores.of(recipe.stain)
        ),
        report=click.echo,
    )
    click.echo(f"study: {shown(str(out))}")
