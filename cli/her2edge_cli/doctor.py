"""her2edge doctor [MODEL]: is this machine fit to classify, and with what; --tune measures how fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from her2edge import Model
from her2edge.files import json_bytes
from her2edge.runtime import DEFAULT
from her2edge.runtime.machine import saturates
from her2edge.runtime.profile import Profile, Setting
from her2edge.runtime.tune import Trial
from her2edge.text import percent
from her2edge_cli import exits
from her2edge_cli.measure.budget import SlideBudget, slide_budget
from her2edge_cli.measure.health import Health, examine
from her2edge_cli.measure.resources import Place
from her2edge_cli.parts import parts
from her2edge_cli.paths import PATH

# What goes without a folder that cannot be written to: classifying always does.
_WITHOUT = {
    "results": "name another folder with --out",
    "config": "`her2edge trust` keeps no key here",
    "state": "`her2edge doctor --tune` keeps no profile here",
    "cache": "kernels are compiled again in each process",
}


@click.command()
@click.argument("path", type=PATH, metavar="[MODEL]", required=False)
@click.option(
    "--tune", "wanted", is_flag=True, help="Measure every setting on this machine and keep the results."
)
@click.option(
    "--slide-budget",
    "budget",
    is_flag=True,
    help="Time tiles with MODEL here, and say what a slide of 5,000 tissue tiles takes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(path: Path | None, wanted: bool, budget: bool, as_json: bool) -> int:
    """Check whether this machine is fit to classify.

    Shows processor, memory, disks, packages and cache, and runs the golden tiles of MODEL through every
    runtime. Without MODEL: the embedded demo model. Exit code 0: healthy, 78: not healthy.

    --tune measures every runtime, precision, number of interpreters and of threads for MODEL (a minute on two
    cores). From then on MODEL runs here with the fastest threads. Another runtime is used only with
    --runtime tuned.

    --slide-budget times tiles of synthetic tissue, from file to result, as MODEL runs here by default (a
    minute on two cores): milliseconds a tile, minutes for every tile of a slide and until its answer is
    settled, watts if the kernel counts them. It says nothing about other machines.
    """
    health = examine(path, _progress if wanted else None, parts().host)
    if budget and health.healthy and health.allowed:
        model = Model.load(path) if path else Model.demo()
        health = replace(health, budget=slide_budget(model, _budget_progress))
    if as_json:
        click.echo(json_bytes(health).decode(), nl=False)
    else:
        for line in lines(health):
            click.echo(line)
    return exits.DONE if health.healthy else exits.REFUSED


def _progress(setting: Setting) -> None:
    click.echo(f"her2edge: measured {_measured(setting)}", err=True)


def _budget_progress(what: str) -> None:
    click.echo(f"her2edge: slide budget, {what}", err=True)


def _measured(setting: Setting) -> str:
    if setting.refused is not None:
        return f"{setting.plan}: refused"
    return f"{setting.plan}: {setting.tiles_per_second:.2f} tiles/s"


def lines(health: Health) -> Iterator[str]:
    """The findings in words, the verdict last."""
    machine = health.machine
    yield f"{'notice':<10} {health.notice}"
    yield f"{'machine':<10} {machine.processor}, {machine.cores} cores, {machine.architecture}"
    yield f"{'features':<10} {' '.join(machine.features) or 'none of those that kernels look for'}"
    yield f"{'system':<10} {health.system}, Python {health.python}"
    yield f"{'packages':<10} {', '.join(f'{name} {version}' for name, version in health.packages.items())}"
    yield f"{'cache':<10} {health.cache or 'none that is private: kernels are compiled in each process'}"
    if health.memory is not None:
        yield f"{'memory':<10} {_size(health.memory.total)}, {_size(health.memory.available)} available"
    for place in health.places:
        yield f"{'disk':<10} {place.what:<8} {_room(place)} ({place.path})"
    yield f"{'model':<10} {health.model}"
    for trial in health.runtimes:
        yield f"{'runtime':<10} {trial.runtime:<14} {_tried(trial)}"
        if (trial.runtime, trial.status) == ("openvino", "refused") and saturates(machine):
            yield f"{'':<10} {'':<14} (its 8-bit sums saturate on a processor without VNNI, like this one)"
    if health.profile is not None:
        yield from _profile(health.profile)
    elif health.runtimes and health.allowed:
        yield f"{'profile':<10} none: `her2edge doctor --tune` measures what is fastest here"
    if health.budget is not None:
        yield from _budget(health.budget)
    yield ""
    yield health.verdict


def _budget(budget: SlideBudget) -> Iterator[str]:
    """A slide in minutes; per cent are shares of the slide's tiles by label."""
    spread = percent(budget.spread, 1)
    yield f"{'tile':<10} {budget.ms:.1f} ms ({budget.plan}; {budget.tiles}; spread of rounds {spread})"
    yield f"{'slide':<10} every tile of {budget.slide_tiles:,} tissue tiles: {budget.minutes:.1f} minutes"
    for one in budget.settled:
        shares = ", ".join(percent(share / 100) for share in one.maps.shares)
        yield (
            f"{'settled':<10} labels {shares}: after {one.maps.tiles:,} tiles, {one.minutes:.1f} minutes "
            f"(nine in ten such slides: {one.p90_minutes:.1f})"
        )
    spent = f"not available: {budget.no_watts}"
    if budget.watts is not None and budget.joules is not None:
        spent = f"{budget.watts:.1f} W by all processor packages, {budget.joules:.2f} J a tile"
    yield f"{'power':<10} {spent}"


def _size(size: int | None) -> str:
    return "not available" if size is None else f"{size / 1e9:.1f} GB"


def _room(place: Place) -> str:
    free = "free space not available" if place.free is None else f"{_size(place.free)} free"
    return free if place.writable else f"cannot be written to: {_WITHOUT[place.what]}"


def _tried(trial: Trial) -> str:
    if trial.tested is None:
        return trial.status if trial.reason is None else f"{trial.version}, {trial.status}: {trial.reason}"
    each = 1e3 * trial.tested.seconds / trial.tested.tiles
    return f"{trial.version}, works: golden tiles {trial.tested}, {each:.0f} ms each ({trial.plan})"


def _profile(profile: Profile) -> Iterator[str]:
    for setting in profile.measured:
        yield f"{'measured':<10} {_measured(setting)}"
    for name, best in (("by default", profile.best(DEFAULT)), ("tuned", profile.best())):
        yield f"{name:<10} {'nothing works' if best is None else best.plan}"
