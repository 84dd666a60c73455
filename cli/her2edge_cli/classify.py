"""her2edge classify SLIDE... --out DIR"""

from __future__ import annotations

from pathlib import Path

import click

from her2edge import Her2EdgeError, MissingInputError, Model, Options, StainFit, TileClassifier
from her2edge.outputs import notice
from her2edge.slide import shown
from her2edge.summary import MIN_TISSUE_TILES
from her2edge.tile import Outcome
from her2edge_cli import exits
from her2edge_cli.paths import PATH
from her2edge_cli.placement import placement_options
from her2edge_cli.slide_run import SlideRun, run_slide


@click.command()
@click.argument("slides", nargs=-1, required=True, type=PATH, metavar="SLIDE...")
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="DIR",
    help="Folder for the results; each slide gets its own inside.",
)
@click.option(
    "--model",
    "model_path",
    type=PATH,
    metavar="MODEL",
    help="A .tflite from `her2edge quantize`. Default: the embedded demo model.",
)
@click.option(
    "--mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the slide at full resolution, where the file does not state it.",
)
@click.option(
    "--stain",
    metavar="per-tile|slide|off|FIT.json",
    help="Stain normalisation: each tile by itself (the paper's way), one fit for the slide, none, or a "
    "saved fit. Default: what the model was trained on.",
)
@placement_options
@click.option(
    "--min-tissue-tiles",
    type=click.IntRange(min=1),
    default=MIN_TISSUE_TILES,
    show_default=True,
    help="Fewer tissue tiles than this: not assessable.",
)
def classify(
    slides: tuple[Path, ...],
    out: Path,
    model_path: Path | None,
    mpp: float | None,
    stain: str | None,
    threads: int | None,
    interpreters: int | None,
    runtime: str,
    min_tissue_tiles: int,
) -> int:
    """Classify slides, plain images or folders of tiles.

    Writes per slide: tiles.csv, tiles.geojson (QuPath), heatmap.png, summary.json and run.json.
    A folder of tiles has no places on a slide: it gets no GeoJSON and no heatmap.
    """
    model = Model.load(model_path) if model_path else Model.demo()
    mode = stain_mode(model.manifest.stain.mode if stain is None else stain)
    # the fit of a slide is made when the slide is open
    options = Options(
        threads=threads,
        interpreters=interpreters,
        runtime=runtime,
        stain="off" if mode == "slide" else mode,
    )
    classifier = TileClassifier(model, options)
    click.echo(f"her2edge: {notice(model, classifier.use)}", err=True)
    codes: list[int] = []
    done = 0
    for path in slides:
        try:
            result = run_slide(path, classifier, out, mpp, min_tissue_tiles, stain_of_slide=mode == "slide")
        except Her2EdgeError as error:
            click.echo(f"her2edge: {error}", err=True)
            codes.append(exits.exit_code(error))
            continue
        done += 1
        show(result)
        if result.summary.outcomes[Outcome.FAILED]:
            codes.append(exits.PARTLY)
    if not codes:
        return exits.DONE
    return exits.PARTLY if done else codes[0]


def stain_mode(choice: str) -> str | StainFit:
    """ "per_tile", "slide", "off", or the StainFit saved in the file of that name."""
    mode = choice.replace("-", "_")
    if mode in ("per_tile", "slide", "off"):
        return mode
    try:
        return StainFit.load(choice)
    except MissingInputError as error:
        raise MissingInputError(
            f"{shown(choice)}: found no such file, expected per-tile, slide, off or a saved stain fit (JSON)"
        ) from error


def show(result: SlideRun) -> None:
    """Print a slide's answer and where its files are."""
    summary = result.summary
    shares = ", ".join(f"{label} {100 * share:.0f} %" for label, share in summary.shares.items())
    answer = summary.label if summary.assessable else f"not assessable ({summary.reason})"
    counts = summary.outcomes
    click.echo(f"{result.name}: {answer}")
    click.echo(
        f"  {summary.tiles} tiles: {counts[Outcome.CLASSIFIED]} classified ({shares}), "
        f"{counts[Outcome.BACKGROUND]} background, {counts[Outcome.FAILED]} failed"
    )
    for path in result.files:
        click.echo(f"  {shown(str(path))}")
