"""her2edge demo: a synthetic slide through the whole way, with nothing but what is installed."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge import LABELS, Model, TileClassifier, classify_slide
from her2edge.files import write_bytes
from her2edge.results import notice
from her2edge.results.summary import named
from her2edge.slide import encode_png
from her2edge_cli.announce import show
from her2edge_cli.held import hold_folder
from her2edge_cli.paths import PATH
from her2edge_cli.progress import counter
from her2edge_training import synthetic


@click.command()
@click.option(
    "--out",
    type=PATH,
    default=Path("her2edge-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for the slide and its results.",
)
@click.option(
    "--label",
    type=click.Choice(LABELS),
    default=LABELS[2],
    show_default=True,
    help="Class of the slide to make.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Seed of the slide: another seed gives another slide.",
)
def demo(out: Path, label: str, seed: int) -> None:
    """Make a synthetic slide and classify it.

    The slide has a focus of another class, a pen mark and a corner out of focus. The answer mentions each.
    It uses the embedded demo model, and says where to look.
    """
    model = Model.demo()
    click.echo(f"her2edge: {notice(model)}", err=True)
    hold_folder(out)
    slide = synthetic.make_demo_slide(label, seed)
    path = out / f"synthetic-{label.replace('/', '-').replace('+', 'p')}-{seed}.png"
    write_bytes(path, encode_png(slide.pixels))
    click.echo(f"Made a synthetic slide of class {label}: {path}")
    click.echo(f"  with a focus of {synthetic.focus_of(label)}, a pen mark and a corner out of focus")
    with counter(path) as progress:
        run = classify_slide(path, out, TileClassifier(model), mpp=slide.mpp, progress=progress)
    show(run, named(run.answer, model))
    click.echo("Look at heatmap.png; drop tiles.geojson on the slide in QuPath.")
