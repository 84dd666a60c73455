"""her2edge train RECIPE and study RECIPE...: both train networks; Keras is imported late."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.files import check_folder
from her2edge.text import shown
from her2edge_cli.feeding import feeding
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

_download = click.option(
    "--download",
    is_flag=True,
    help="Download ImageNet's weights if the recipe needs them and Keras has no copy. Nothing else "
    "is downloaded.",
)
_smoke = click.option(
    "--smoke",
    is_flag=True,
    help="Run the recipe in its smallest size: it shows that training works, and learns nothing.",
)


@click.command(
    epilog=f"Recipes: {', '.join(recipe_names())}, or the path of a .py file, which `her2edge recipe NAME` "
    "prints. A .py file is run as a program: if somebody else wrote it, read it first. docs/recipes.md "
    "explains "
    "every field."
)
@click.argument("recipe")
@click.option("--data", required=True, type=PATH, metavar="CSV", help="Tile list of the cohort.")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="New folder for the run.")
@click.option(
    "--from",
    "start",
    type=PATH,
    metavar="RUN|MODEL",
    help="Start from the best weights of this former run, or from those of a model file (.tflite, a ResNet).",
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
@click.option("--epochs", type=int, help="Maximum number of epochs of each stage.")
@click.option("--batch", type=int, help="Crops in a step.")
@click.option(
    "--learning-rate",
    type=float,
    help="Learning rate at the start of the first stage. Later stages keep their proportion to it.",
)
@click.option("--seed", type=int, help="Seed of the split, the first weights and the order of tiles.")
@click.option("--tile-px", type=int, help="Side of the tiles that the finished model reads, pixels.")
@click.option("--mpp", type=float, help="Scale of the tiles, um per pixel.")
@_devices
@feeding
@_smoke
def train(
    recipe: str,
    data: Path,
    out: Path,
    start: Path | None,
    minutes: float | None,
    devices: int,
    workers: int | None,
    cache_mib: int | None,
    cache: Path | None,
    smoke: bool,
    download: bool,
    **values: Any,
) -> None:
    """Train a network with a recipe and score it.

    The score is measured once, on held-out tiles. Options from --weights to --mpp replace the recipe's
    values; recipe.json and the name of the recipe record this.
    """
    if start is not None and values["weights"] is not None:
        raise click.UsageError(
            "found both --from and --weights, which each say where weights come from: leave one out"
        )
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
        TrainOptions(
            start=start,
            minutes=minutes,
            download=download,
            devices=devices,
            workers=workers,
            cache_mib=cache_mib,
            cache=cache,
        ),
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
@feeding
@_smoke
def study(
    recipes: tuple[str, ...],
    data: Path,
    out: Path,
    folds: int,
    protocols: tuple[str, ...],
    download: bool,
    devices: int,
    workers: int | None,
    cache_mib: int | None,
    cache: Path | None,
    smoke: bool,
) -> None:
    """Train networks on each fold of each protocol.

    The protocols split the tiles by tile, by slide and by site. After an interruption, run the same command
    again to resume. Then: her2edge evaluate STUDY.
    """
    check_folder(out)
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.cohort.stores import Stores
        from her2edge_training.cohort.tile_list import TileList
        from her2edge_training.evaluation.study import StudyOptions, run_study
        from her2edge_training.run.loading import Loading
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.train import check_labels, train, weights_of
    chosen = [load_recipe(name, smoke=smoke) for name in recipes]
    options = TrainOptions(
        download=download, devices=devices, workers=workers, cache_mib=cache_mib, cache=cache
    )
    tiles = TileList.read(data, chosen[0].labels)
    for recipe in chosen:  # what would end the study at its turn, hours later
        check_labels(recipe, tiles)
        weights_of(recipe, options)
    with closing(Stores(Loading.of(options).cache_mib, cache=cache, say=click.echo)) as stores:
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
