"""her2edge watch FOLDER --out DIR"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from her2edge.errors import MissingInputError, OptionError, SlideReadError
from her2edge.text import shown
from her2edge.watch.inbox import Inbox
from her2edge.watch.watcher import Patience, Watcher
from her2edge_cli import exits
from her2edge_cli.announce import Teller
from her2edge_cli.metrics import Metrics
from her2edge_cli.options import make_reading, reading_options
from her2edge_cli.paths import PATH


@click.command()
@click.argument("folder", type=PATH)
@reading_options
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A slide has arrived when neither its size nor its time has changed for so long.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=Patience.retries,
    show_default=True,
    help="How often a slide that cannot be read is tried again before it is set aside; the first time after "
    f"{Patience.wait:g} seconds, then after twice as long each time.",
)
@click.option(
    "--poll",
    type=click.FloatRange(min=0.05),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the folder is looked at.",
)
@click.option(
    "--once", is_flag=True, help="End when every slide that is there is done or set aside, for cron."
)
def watch(
    folder: Path,
    settle: float,
    retries: int,
    poll: float,
    once: bool,
    as_json: bool,
    metrics: Path | None,
    **options: Any,
) -> int:
    """Classify the slides that a scanner puts into FOLDER, as `classify` does, each once.

    Whole-slide images in FOLDER and the folders in it, as soon as they have stopped growing; they are read
    and left where they are. Interrupted, it goes on where it was when it is started again. A slide that
    cannot be read is tried again later; one that fails for good is set aside: DIR/failed/ says why; once
    that file is removed it is tried anew. Several may share DIR. Each DIR is for one model: a slide that has
    results there is done.
    """
    if folder.resolve() == options["out"].resolve():
        raise OptionError(
            f"found one folder, {shown(folder.name)}, for slides and results, expected two: choose another "
            "--out"
        )
    reading = make_reading(**options)
    counts = Metrics(metrics) if metrics else None
    teller = Teller(reading, as_json, counts)
    codes: set[int] = set()
    watcher = Watcher(
        Inbox(folder, settle, reading.out),
        reading.out,
        reading.run,
        lambda run: codes.add(teller.done(run)),
        lambda text: click.echo(f"her2edge: {text}", err=True),
        lambda slide: codes.add(teller.set_aside(slide)),
        Patience(retries),
    )
    looked = missed = False
    while True:
        try:
            watcher.round()
            looked, missed = True, False
        except (MissingInputError, SlideReadError) as error:
            if once or not looked:
                raise
            if not missed:
                click.echo(f"her2edge: {error}; waiting for it to come back", err=True)
            missed = True
        if counts is not None:
            counts.waiting(watcher.waiting)
        if once and not watcher.waiting:
            return exits.PARTLY if codes - {exits.DONE} else exits.DONE
        time.sleep(poll)
