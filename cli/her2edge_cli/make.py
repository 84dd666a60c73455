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
@click.option(
    "--paper",
    "share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Instead: 38 slides of two sites with the paper's balance of classes, SHARE of its 10,380 tiles.",
)
@click.option("--tile-px", type=click.IntRange(min=32), default=512, show_default=True)
@click.option("--mpp", type=float, default=0.25, show_default=True, help="um per pixel.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
def synthesize(
    out: Path, slides: int, tiles: int, share: float | None, tile_px: int, mpp: float, seed: int
) -> None:
    """Draw a cohort of synthetic tissue to train on: tiles and their manifest.

    Synthetic tissue shows that a pipeline works. It says nothing about patients.
    """
    from her2edge_cli.progress import counter
    from her2edge_training import synthetic

    if share is None:
        cohort = synthetic.even_cohort(slides, tiles, seed)
    else:
        cohort = synthetic.paper_cohort(share, seed)
    total = sum(cohort.tiles)
    with counter(total, "synthetic tiles") as progress:
        manifest = synthetic.write_dataset(out, cohort, tile_px=tile_px, um_per_pixel=mpp, progress=progress)
    click.echo(f"{total} tiles of {len(cohort.slides)} synthetic slides: {manifest}")


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
@click.option("--scheme", required=True, type=click.Choice(["fp32", "fp16", "int8"]))
@click.option("--out", required=True, type=PATH, metavar="MODEL", help="The .tflite to write.")
@click.option("--name", help="Name in the manifest. Default: the run's folder name.")
@click.option(
    "--export",
    type=click.Choice(["portable", "fast"]),
    default="portable",
    show_default=True,
    help="fast: the SDK packs tiles for the stem, other TFLite users cannot (int8 of a ResNet).",
)
@click.option("--demo", is_flag=True, help="Mark the model as one that knows synthetic tissue only.")
def quantize(
    run: Path,
    data: Path,
    scheme: Literal["fp32", "fp16", "int8"],
    out: Path,
    name: str | None,
    export: Literal["portable", "fast"],
    demo: bool,
) -> None:
    """Make a verified .tflite from a training run and show how far it agrees with float32."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_quantize.quantize import quantize as run_quantize
    except ImportError as error:
        raise missing_extra("quantize", error) from error
    path = run_quantize(run, data, scheme, out, name=name, demo=demo, export=export, report=click.echo)
    click.echo(f"model: {path}")
