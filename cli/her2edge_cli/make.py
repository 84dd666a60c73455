"""her2edge synthesize, train, quantize: the verbs that make models; what they need is imported late."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import click

from her2edge_cli.extras import missing_extra
from her2edge_cli.paths import PATH
from her2edge_training.recipe import load_recipe, recipe_names


@click.command()
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for tiles/ and manifest.csv.")
@click.option("--slides", type=click.IntRange(min=3), default=90, show_default=True)
@click.option("--tiles", type=click.IntRange(min=1), default=20, show_default=True, help="Tiles per slide.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
def synthesize(out: Path, slides: int, tiles: int, seed: int) -> None:
    """Draw a cohort of synthetic tissue to train on: tiles and their manifest.

    Synthetic tissue shows that a pipeline works. It says nothing about patients.
    """
    from her2edge_cli.progress import counter
    from her2edge_training import synthetic

    with counter(slides * tiles, "synthetic tiles") as progress:
        manifest = synthetic.write_dataset(
            out, slides=slides, tiles_per_slide=tiles, seed=seed, progress=progress
        )
    click.echo(f"{slides * tiles} tiles of {slides} synthetic slides: {manifest}")


@click.command(epilog=f"Recipes: {', '.join(recipe_names())}, or the path of a .py file like them.")
@click.argument("recipe")
@click.option("--data", required=True, type=PATH, metavar="MANIFEST", help="manifest.csv of the tiles.")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="New folder for the run.")
@click.option(
    "--from", "start", type=PATH, metavar="RUN", help="Begin with the best weights of this former run."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch that passes this time, then score.",
)
@click.option("--smoke", is_flag=True, help="The recipe's smallest size: shows that it runs, learns nothing.")
def train(recipe: str, data: Path, out: Path, start: Path | None, minutes: float | None, smoke: bool) -> None:
    """Train a network by RECIPE and score it once on held-out tiles."""
    chosen = load_recipe(recipe, smoke=smoke)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_training.train import train as run_training
    except ImportError as error:
        raise missing_extra("train", error) from error
    result = run_training(chosen, data, out, start=start, minutes=minutes, report=click.echo)
    click.echo(f"run: {result.run}")


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--data", required=True, type=PATH, metavar="MANIFEST", help="manifest.csv the run was trained on."
)
@click.option("--scheme", required=True, type=click.Choice(["fp32", "fp16", "int8", "int8-qat"]))
@click.option("--out", required=True, type=PATH, metavar="MODEL", help="The .tflite to write.")
@click.option("--name", help="Name in the manifest. Default: the run's folder name.")
@click.option("--demo", is_flag=True, help="Mark the model as one that knows synthetic tissue only.")
@click.option("--qat-epochs", type=click.IntRange(min=1), help="Epochs of training for int8 (int8-qat).")
@click.option(
    "--qat-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop that training after so long, then convert.",
)
@click.option(
    "--prune",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the weights to set to zero first: a smaller file once compressed.",
)
@click.option("--clusters", type=click.IntRange(min=2), help="Different weights that each kernel may have.")
def quantize(
    run: Path,
    data: Path,
    scheme: Literal["fp32", "fp16", "int8", "int8-qat"],
    out: Path,
    name: str | None,
    demo: bool,
    qat_epochs: int | None,
    qat_minutes: float | None,
    prune: float | None,
    clusters: int | None,
) -> None:
    """Make a verified .tflite from a training run and show how far it agrees with float32."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_quantize.qat.options import PruneOptions, QatOptions
        from her2edge_quantize.quantize import quantize as run_quantize
    except ImportError as error:
        raise missing_extra("quantize", error) from error
    qat = None
    if qat_epochs is not None or qat_minutes is not None:
        usual = QatOptions()
        qat = QatOptions(epochs=qat_epochs or usual.epochs, minutes=qat_minutes or usual.minutes)
    thin = None if prune is None and clusters is None else PruneOptions(prune, clusters)
    path = run_quantize(run, data, scheme, out, name=name, demo=demo, report=click.echo, qat=qat, thin=thin)
    click.echo(f"model: {path}")
