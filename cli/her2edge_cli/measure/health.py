"""Is a machine fit to classify, and with what: what `her2edge doctor` examines and how it judges."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from her2edge import Model, __version__
from her2edge.errors import ModelError
from her2edge.files import check_folder
from her2edge.results import notice
from her2edge.runtime import DEFAULT, Host
from her2edge.runtime.machine import Machine, kernel_cache, this_machine
from her2edge.runtime.profile import Profile, Setting, find_profile, profile_path, write_profile
from her2edge.runtime.tune import Trial, try_runtimes, tune
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE

PACKAGES = (
    "ai-edge-litert", "openvino", "tflite-runtime", "numpy", "numba", "opencv-python-headless", "msgspec",
    "platformdirs", "openslide-python", "openslide-bin", "cryptography",
)  # fmt: skip


@dataclass(frozen=True)
class Health:
    """What was examined, as `doctor --json` prints it.

    verdict: one sentence, for people. cache: the folder of compiled kernels, None where none is private.
    model: its name, or why it is refused; runtimes and profile are of this model.
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
    runtimes: tuple[Trial, ...] = ()
    profile: Profile | None = None


def examine(
    path: Path | None, measure: Callable[[Setting], None] | None = None, host: Host | None = None
) -> Health:
    """Examine this machine with a model.

    path: of the model, None: the embedded demo model. measure: measure every setting and keep the profile; it
    is called with each. None: the profile that was kept before. host: the machine, None: this one.

    A model that is refused is a finding. Raises MissingInputError; with `measure` RuntimeUnavailable and
    OutputError too.
    """
    host = host or Host()
    try:
        model = Model.load(path) if path else Model.demo()
    except ModelError as error:
        return _health(RESEARCH_USE, False, "not healthy: the model is refused", f"refused: {error}")
    profile = find_profile(model, host)
    if measure is not None:
        check_folder(profile_path(model, host).parent)
        profile = tune(model, measure, host)
        write_profile(profile, profile_path(model, host))
    trials = try_runtimes(model, host)
    manifest = model.manifest
    name = f"{manifest.name} {manifest.version}, {manifest.scheme}"
    return _health(notice(model), *judge(trials), name, trials, profile)


def judge(trials: Sequence[Trial]) -> tuple[bool, str]:
    """Whether a machine is healthy, and the sentence that says so.

    Healthy: the default runtime works, or, where it is not installed, another one.
    """
    works = [trial.runtime for trial in trials if trial.status == "works"]
    broken = [trial.runtime for trial in trials if trial.status in ("refused", "unavailable")]
    never = f"; do not use {' or '.join(broken)} for this model here" if broken else ""
    if all(trial.status == "not installed" for trial in trials):
        return False, 'not healthy: no runtime is installed: `pip install "ai-edge-litert>=2.3"`'
    if not works or DEFAULT in broken:
        return False, f"not healthy: {' and '.join(broken)} cannot be used, the reasons are above"
    by = "" if DEFAULT in works else f" with --runtime {works[0]}"
    return True, f"healthy: this machine classifies{by}{never}"


def _health(
    about: str,
    healthy: bool,
    verdict: str,
    model: str,
    trials: tuple[Trial, ...] = (),
    profile: Profile | None = None,
) -> Health:
    cache = kernel_cache()
    return Health(
        notice=about,
        healthy=healthy,
        verdict=verdict,
        machine=this_machine(),
        system=platform.platform(),
        python=platform.python_version(),
        packages={"her2edge": __version__} | dict(_packages()),
        cache=None if cache is None else shown(str(cache)),
        model=model,
        runtimes=trials,
        profile=profile,
    )


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
