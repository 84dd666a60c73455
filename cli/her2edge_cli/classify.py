"""her2edge classify SLIDE... --out DIR"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from her2edge import Her2EdgeError
from her2edge_cli import exits
from her2edge_cli.announce import Teller
from her2edge_cli.metrics import Metrics
from her2edge_cli.options import make_reading, reading_options
from her2edge_cli.paths import PATH


@click.command()
@click.argument("slides", nargs=-1, required=True, type=PATH, metavar="SLIDE...")
@reading_options
@click.option(
    "--fresh",
    is_flag=True,
    help="From the first tile, whatever a former run left: its complete results, or the journal of an "
    "interrupted one.",
)
def classify(
    slides: tuple[Path, ...], fresh: bool, as_json: bool, metrics: Path | None, **options: Any
) -> int:
    """Classify slides, plain images or folders of tiles.

    Writes per slide: tiles.csv, tiles.geojson (QuPath), heatmap.png, summary.json and run.json.
    A folder of tiles has no places on a slide: it gets no GeoJSON and no heatmap.

    The same command again goes on where an interrupted one stopped, to the same files; it passes over slides
    that are complete, but for those with failed tiles. With another model, runtime, version or option that
    results depend on, a slide is begun afresh.
    """
    reading = make_reading(**options)
    teller = Teller(reading, as_json, Metrics(metrics) if metrics else None)
    codes: list[int] = []
    done = 0
    for path in slides:
        try:
            run = reading.run(path, fresh=fresh)
        except Her2EdgeError as error:
            codes.append(teller.failed(path, error))
            continue
        done += 1
        codes.append(teller.done(run))
    bad = [code for code in codes if code != exits.DONE]
    if not bad:
        return exits.DONE
    return exits.PARTLY if done else bad[0]
