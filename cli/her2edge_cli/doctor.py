"""her2edge doctor [MODEL]: is this machine fit to classify, and with what; --tune measures how fast."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click
import msgspec

from her2edge import Model, __version__
from her2edge.errors import ModelError
from her2edge.results import notice
from her2edge.runtime import DEFAULT, Host
from her2edge.runtime.machine import Machine, kernel_cache, saturates, this_machine
from her2edge.runtime.profile import Profile, Setting, find_profile, profile_path, write_profile
from her2edge.runtime.tune import Trial, try_runtimes, tune
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE
from her2edge_cli import exits
from her2edge_cli.paths import PATH

PACKAGES = (
    "ai-edge-litert", "openvino", "tflite-runtime", "numpy", "numba", "opencv-python-headless", "msgspec",
    "platformdirs", "openslide-python", "openslide-bin", "cryptography",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What doctor found, as `--json` prints it.

    cache: the folder of compiled kernels, None where none is private.
    """

    notice: str
    healthy: bool
    verdict: str
    machine: Machine
    system: str
    python: str
    packages: dict[str, str]
    cache: str | None
    model: str
    runtimes: tuple[Trial, ...]
    profile: Profile | None


@click.command()
@click.argument("path", type=PATH, metavar="[MODEL]", required=False)
@click.option("--tune", "wanted", is_flag=True, help="Measure every setting on this machine and keep them.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(path: Path | None, wanted: bool, as_json: bool) -> int:
    """Examine this machine: packages, processor, cache, and a model's golden tiles through every runtime.

    Without MODEL: the embedded demo model. Exit code 0: healthy, 78: not.

    --tune measures runtime x precision x interpreters x threads for MODEL (a minute on two cores). From then
    on MODEL runs here with the threads that were fastest; with another runtime only by --runtime tuned.
    """
    host = click.get_current_context().find_object(Host) or Host()
    report = _examine(path, wanted, host)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        for line in _lines(report):
            click.echo(line)
    return exits.DONE if report.healthy else exits.REFUSED


def _examine(path: Path | None, wanted: bool, host: Host) -> Report:
    try:
        model = Model.load(path) if path else Model.demo()
    except ModelError as error:
        return _report(f"refused: {error}", "not healthy: the model is refused")
    profile = find_profile(model, host)
    if wanted:
        profile = tune(model, _progress, host)
        write_profile(profile, profile_path(model, host))
    trials = try_runtimes(model, host)
    healthy, verdict = _verdict(trials)
    manifest = model.manifest
    named = f"{manifest.name} {manifest.version}, {manifest.scheme}"
    return _report(named, verdict, notice(model), trials, profile, healthy=healthy)


def _report(
    model: str,
    verdict: str,
    said: str = RESEARCH_USE,
    runtimes: tuple[Trial, ...] = (),
    profile: Profile | None = None,
    *,
    healthy: bool = False,
) -> Report:
    cache = kernel_cache()
    return Report(
        notice=said,
        healthy=healthy,
        verdict=verdict,
        machine=this_machine(),
        system=platform.platform(),
        python=platform.python_version(),
        packages={"her2edge": __version__} | dict(_packages()),
        cache=None if cache is None else shown(str(cache)),
        model=model,
        runtimes=runtimes,
        profile=profile,
    )


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _verdict(trials: tuple[Trial, ...]) -> tuple[bool, str]:
    """Healthy: the default runtime works, or, where it is not installed, another one."""
    works = [trial.runtime for trial in trials if trial.status == "works"]
    broken = [trial.runtime for trial in trials if trial.status in ("refused", "unavailable")]
    never = f"; do not use {' or '.join(broken)} for this model here" if broken else ""
    if all(trial.status == "not installed" for trial in trials):
        return False, 'not healthy: no runtime is installed: `pip install "ai-edge-litert>=2.3"`'
    if not works or DEFAULT in broken:
        return False, f"not healthy: {' and '.join(broken)} cannot be used, the reasons are above"
    by = "" if DEFAULT in works else f" with --runtime {works[0]}"
    return True, f"healthy: this machine classifies{by}{never}"


def _progress(setting: Setting) -> None:
    click.echo(f"her2edge: measured {_measured(setting)}", err=True)


def _measured(setting: Setting) -> str:
    if setting.refused is not None:
        return f"{setting.plan}: refused"
    return f"{setting.plan}: {setting.tiles_per_second:.2f} tiles/s"


def _lines(report: Report) -> Iterator[str]:
    machine = report.machine
    yield f"{'notice':<10} {report.notice}"
    yield f"{'machine':<10} {machine.processor}, {machine.cores} cores, {machine.architecture}"
    yield f"{'features':<10} {' '.join(machine.features) or 'none of those that kernels look for'}"
    yield f"{'system':<10} {report.system}, Python {report.python}"
    yield f"{'packages':<10} {', '.join(f'{name} {version}' for name, version in report.packages.items())}"
    yield f"{'cache':<10} {report.cache or 'none that is private: kernels are compiled anew in each process'}"
    yield f"{'model':<10} {report.model}"
    for trial in report.runtimes:
        yield f"{'runtime':<10} {trial.runtime:<14} {_tried(trial)}"
        if (trial.runtime, trial.status) == ("openvino", "refused") and saturates(machine):
            yield f"{'':<10} {'':<14} (its 8-bit sums saturate on a processor without VNNI, like this one)"
    if report.profile is not None:
        yield from _profile(report.profile)
    elif report.runtimes:
        yield f"{'profile':<10} none: `her2edge doctor --tune` measures what is fastest here"
    yield ""
    yield report.verdict


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
