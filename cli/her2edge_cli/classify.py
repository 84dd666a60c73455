"""her2edge classify SLIDE... --out DIR"""

from __future__ import annotations

from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge_cli import exits
from her2edge_cli.announce import Announcer
from her2edge_cli.options import Reading, reading_options
from her2edge_cli.paths import PATH


@click.command()
@click.argument("slides", nargs=-1, required=True, type=PATH, metavar="SLIDE...")
@reading_options
@click.option(
    "--fresh",
    is_flag=True,
    help="Begin with the first tile, whatever a former run left: complete results, or the journal of an "
    "interrupted run.",
)
def classify(slides: tuple[Path, ...], fresh: bool, reading: Reading) -> int:
    """Classify slides, plain images or folders of tiles.

    Writes per slide: tiles.csv, tiles.geojson (QuPath), heatmap.png, summary.json and run.json.
    A folder of tiles has no places on a slide: it gets no GeoJSON and no heatmap.

    Nothing is lost when a run is interrupted: run the same command again to resume, to the same files.
    Finished slides are skipped; of slides with failed tiles only these are read again. With another model,
    runtime, version or option that results depend on, a slide is begun afresh.
    """
    announcer = Announcer.of(reading)
    codes = [_one(path, reading, announcer, fresh) for path in announcer.each(slides)]
    done = [code for code in codes if code in (exits.DONE, exits.PARTLY)]
    if done == [exits.DONE] * len(codes):
        return exits.DONE
    return exits.PARTLY if done else codes[0]


def _one(path: Path, reading: Reading, announcer: Announcer, fresh: bool) -> int:
    """Classify a slide and say what became of it; returns its exit code."""
    try:
        run = reading.run(path, fresh=fresh)
    except Her2EdgeError as error:
        return announcer.failed(path, error)
    return announcer.done(run)
