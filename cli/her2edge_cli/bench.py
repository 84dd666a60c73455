"""her2edge bench [MODEL]: how fast this machine reads tiles with a model, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from her2edge import Options
from her2edge_cli.measure.whole import Bench, run_bench
from her2edge_cli.paths import PATH
from her2edge_cli.placement import placement_options

TILES, ROUNDS = 40, 3


@click.command()
@click.argument("path", type=PATH, metavar="[MODEL]", required=False)
@click.option("--slide", type=PATH, help="Slide, image or folder of tiles. Default: synthetic tissue.")
@click.option(
    "--mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the slide at level 0, if the file does not state it.",
)
@click.option(
    "--tiles",
    type=click.IntRange(min=1),
    default=TILES,
    show_default=True,
    help="Number of tiles, spread over the slide.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    default=ROUNDS,
    show_default=True,
    help="Number of rounds after the warm-up.",
)
@placement_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def bench(
    path: Path | None,
    slide: Path | None,
    mpp: float | None,
    tiles: int,
    rounds: int,
    threads: int | None,
    interpreters: int | None,
    runtime: str,
    as_json: bool,
) -> None:
    """Measure how fast this machine reads tiles.

    Measures each stage, throughput, cold start, memory and energy. Without MODEL: the embedded demo model.
    It takes a minute or two; let nothing else run meanwhile.
    """
    found = run_bench(path, slide, mpp, tiles, rounds, Options(threads, interpreters, runtime), progress)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        for line in lines(found):
            click.echo(line)


def progress(what: str) -> None:
    """What is measured now, apart from the report."""
    click.echo(f"her2edge: {what}", err=True)


def lines(found: Bench) -> Iterator[str]:
    """The report in words."""
    measured, machine, start, memory = found.measured, found.machine, found.start, found.memory
    yield f"{'notice':<12} {found.notice}"
    yield f"{'machine':<12} {machine.processor}, {machine.cores} cores, {machine.architecture}"
    yield f"{'model':<12} {found.model}, {found.scheme}, {found.tile_px} px"
    yield (
        f"{'runtime':<12} {found.runtime} {found.version} in {found.precision}, {found.interpreters} x "
        f"{found.threads} thread{'s' * (found.threads > 1)}, {found.ahead} prepared ahead"
    )
    yield (
        f"{'tiles':<12} {found.tiles}: {measured.tissue} tissue, {measured.background_tiles} background, "
        f"{measured.unreadable} not readable; {measured.rounds} rounds"
    )
    yield ""
    yield f"{'ms per tile':<12} {'p50':>9} {'p90':>9} {'p99':>9} {'spread of medians':>19}"
    background = {} if measured.background is None else {"background": measured.background}
    for name, times in (measured.stages | background).items():
        cells = " ".join(f"{value:9.2f}" for value in (times.p50, times.p90, times.p99))
        yield f"{name:<12} {cells} {times.spread:19.1%}"
    yield ""
    for name, rate in (("network", measured.network), ("stream", measured.stream)):
        yield f"{name:<12} {rate.tiles_per_second:.2f} tiles/s, spread {rate.spread:.1%}"
    yield f"{'busy':<12} the stream reaches {measured.busy:.1%} of the network's own rate"
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in asdict(start).items())
    yield f"{'cold start':<12} seconds: {parts}"
    held = (
        f"{memory.steady_mb:.0f} MB, at most {memory.peak_mb:.0f}"
        if memory
        else "not told: there is no /proc"
    )
    yield f"{'memory':<12} {held}"
    spent = (
        f"{measured.joules:.2f} J per tile"
        if measured.joules is not None
        else f"not told: {measured.no_joules}"
    )
    yield f"{'energy':<12} {spent}"
