"""her2edge train RECIPE and study RECIPE...: both train networks; Keras is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.files import check_folder
from her2edge.text import shown
from her2edge_cli.paths import PATH
from her2edge_training.changed import Changes, changed
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

_download = click.option(
    "--download",
    is_flag=True,
    help="Fetch ImageNet's weights if a recipe wants them and Keras has none. Nothing else is fetched.",
)
_smoke = click.option(
    "--smoke",
    is_flag=True,
    help="A recipe's smallest size: it shows that training runs and learns nothing.",
)


@click.command(
    epilog=f"Recipes: {', '.join(recipe_names())}, or the path of a .py file, which `her2edge recipe NAME` "
    "prints. A .py file is run as a program: read it before you train by another's. docs/recipes.md explains "
    "every field."
)
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
@click.option(
    "--weights",
    metavar="FILE|imagenet|none",
    help="Weights to start from: a no-top .h5 file of keras.applications, or random ones.",
)
@_download
@click.option("--epochs", type=int, help="At most so many epochs in each stage.")
@click.option("--batch", type=int, help="Crops in a step.")
@click.option(
    "--learning-rate",
    type=float,
    help="At the start of the first stage; later stages keep their proportion to it.",
)
@click.option("--seed", type=int, help="Of the split, the first weights and the order of tiles.")
@click.option("--tile-px", type=int, help="Side of the tiles that the finished model reads, pixels.")
@click.option("--mpp", type=float, help="Scale of the tiles, um per pixel.")
@_devices
@_workers
@_smoke
def train(
    recipe: str,
    data: Path,
    out: Path,
    start: Path | None,
    minutes: float | None,
    devices: int,
    workers: int,
    smoke: bool,
    download: bool,
    **values: Any,
) -> None:
    """Train a network by a recipe and score it.

    The score is measured once, on held-out tiles. Options from --weights to --mpp are in the place of the
    recipe's values; the run's recipe.json and the recipe's name say so.
    """
    chosen = changed(load_recipe(recipe, smoke=smoke), Changes(**values))
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
        TrainOptions(start=start, minutes=minutes, download=download, devices=devices, workers=workers),
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
@_download
@_devices
@_workers
@_smoke
def study(
    recipes: tuple[str, ...],
    data: Path,
    out: Path,
    folds: int,
    protocols: tuple[str, ...],
    download: bool,
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
        from her2edge_training.run.train import check_labels, train, weights_of
    chosen = [load_recipe(name, smoke=smoke) for name in recipes]
    options = TrainOptions(download=download, devices=devices, workers=workers)
    tiles = TileList.read(data, chosen[0].labels)
    for recipe in chosen:  # what would end the study at its turn, hours later
        check_labels(recipe, tiles)
        weights_of(recipe, options)
    stores = Stores(options.cache_mib)
    run_study(
        chosen,
        tiles,
        out,
        StudyOptions(folds, protocols or PROTOCOLS),
        train=lambda recipe, tiles, run: train(
            recipe, tiles, run, options, report=click.echo, store=stores.of(recipe.stain)
        ),
        report=click.echo,
    )
    click.echo(f"study: {shown(str(out))}")
