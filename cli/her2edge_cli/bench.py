"""her2edge bench [MODEL]: how fast this machine reads tiles with a model, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from her2edge import Options
from her2edge.files import json_bytes
from her2edge.text import percent
from her2edge_cli.measure.whole import ROUNDS, TILES, Asked, Bench, run_bench
from her2edge_cli.parts import parts
from her2edge_cli.paths import PATH
from her2edge_cli.placement import placement_options


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
    readers: int | None,
    runtime: str,
    as_json: bool,
) -> None:
    """Measure how fast this machine reads tiles.

    Measures each stage, throughput, cold start, memory and energy. Without MODEL: the embedded demo model.
    It takes a minute or two; run nothing else meanwhile.
    """
    asked = Asked(path, slide, mpp, tiles, rounds, Options(threads, interpreters, runtime, readers=readers))
    report = run_bench(asked, progress, parts().fresh)
    if as_json:
        click.echo(json_bytes(report).decode(), nl=False)
    else:
        for line in lines(report):
            click.echo(line)


def progress(what: str) -> None:
    """What is measured now, apart from the report."""
    click.echo(f"her2edge: {what}", err=True)


def lines(report: Bench) -> Iterator[str]:
    """The report in words."""
    measured, machine, start, memory = report.measured, report.machine, report.start, report.memory
    yield f"{'notice':<12} {report.notice}"
    yield f"{'machine':<12} {machine.processor}, {machine.cores} cores, {machine.architecture}"
    yield f"{'model':<12} {report.model}, {report.scheme}, {report.tile_px} px"
    yield (
        f"{'runtime':<12} {report.runtime} {report.version} in {report.precision}, {report.interpreters} x "
        f"{report.threads} thread{'s' * (report.threads > 1)}, {report.ahead} prepared ahead, "
        f"{report.readers} read at a time"
    )
    yield (
        f"{'tiles':<12} {report.tiles}: {measured.tissue} tissue, {measured.background_tiles} background, "
        f"{measured.unreadable} not readable; {measured.rounds} rounds"
    )
    yield ""
    yield f"{'ms per tile':<12} {'p50':>9} {'p90':>9} {'p99':>9} {'spread of medians':>19}"
    background = {} if measured.background is None else {"background": measured.background}
    for name, times in (measured.stages | background).items():
        cells = " ".join(f"{value:9.2f}" for value in (times.p50, times.p90, times.p99))
        yield f"{name:<12} {cells} {percent(times.spread, 1):>19}"
    yield ""
    for name, rate in (("network", measured.network), ("stream", measured.stream)):
        yield f"{name:<12} {rate.tiles_per_second:.2f} tiles/s, spread {percent(rate.spread, 1)}"
    yield f"{'busy':<12} the stream reaches {percent(measured.busy, 1)} of the network's own rate"
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in asdict(start).items())
    yield f"{'cold start':<12} seconds: {parts}"
    held = "not available: there is no /proc"
    if memory:
        held = f"{memory.steady_mb:.0f} MB, at most {memory.peak_mb:.0f}"
    yield f"{'memory':<12} {held}"
    spent = f"not available: {measured.no_joules}"
    if measured.joules is not None:
        spent = f"{measured.joules:.2f} J per tile"
    yield f"{'energy':<12} {spent}"
