"""her2edge synthesize: draws a cohort of synthetic tissue."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge_cli.paths import PATH


@click.command()
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for tiles/ and cohort.csv.")
@click.option("--slides", type=click.IntRange(min=3), help="Number of slides. Default: 90.")
@click.option("--tiles", type=click.IntRange(min=1), help="Tiles per slide. Default: 20.")
@click.option(
    "--paper",
    "share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Instead: 38 slides of two sites with the paper's balance of classes, SHARE of its 10,380 tiles.",
)
@click.option(
    "--between",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Share of the slides whose tissue lies between two neighbouring classes; their tiles have no label.",
)
@click.option(
    "--tile-px", type=click.IntRange(min=32), default=512, show_default=True, help="Side of a tile."
)
@click.option("--tile-mpp", type=float, default=0.25, show_default=True, help="um per pixel of the tiles.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Seed: another seed gives another cohort.",
)
def synthesize(
    out: Path,
    slides: int | None,
    tiles: int | None,
    share: float | None,
    between: float,
    tile_px: int,
    tile_mpp: float,
    seed: int,
) -> None:
    """Draw a cohort of synthetic tissue.

    Writes tiles to train on and the list of them. Synthetic tissue shows that a pipeline works. It says
    nothing about patients. `her2edge distil` learns from tiles without a label too; `train` does not.
    """
    from her2edge_cli.progress import counter
    from her2edge_training import synthetic

    if share is None:
        cohort = synthetic.even_cohort(slides or 90, tiles or 20, seed, between=between)
    elif slides or tiles or between:
        raise click.UsageError(
            "found --paper, which sets slides and tiles itself, beside --slides, --tiles or --between: leave "
            "these out"
        )
    else:
        cohort = synthetic.paper_cohort(share, seed)
    total = sum(cohort.tiles)
    with counter("synthetic tiles") as progress:
        path = synthetic.write_dataset(out, cohort, tile_px=tile_px, mpp=tile_mpp, progress=progress)
    click.echo(f"{total} tiles of {len(cohort.slides)} synthetic slides: {path}")
