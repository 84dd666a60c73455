"""Is a machine fit to classify, and with what: what `her2edge doctor` examines and how it judges."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from her2edge import Model, __version__
from her2edge.alone import alone_with
from her2edge.errors import ModelError, RuntimeUnavailable
from her2edge.files import check_folder, ensure_folder
from her2edge.model.trust import configured_trust, require_ed25519
from her2edge.results import notice
from her2edge.runtime import DEFAULT, Host
from her2edge.runtime.machine import Machine, kernel_cache, this_machine
from her2edge.runtime.profile import Profile, Setting, find_profile, profile_path, write_profile
from her2edge.runtime.tune import Trial, try_runtimes, tune
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE
from her2edge_cli.measure.budget import SlideBudget
from her2edge_cli.measure.resources import Memory, Place, memory_now, places_of

PACKAGES = (
    "ai-edge-litert", "openvino", "tflite-runtime", "numpy", "numba", "opencv-python-headless", "msgspec",
    "platformdirs", "openslide-python", "openslide-bin", "cryptography",
)  # fmt: skip


@dataclass(frozen=True)
class Health:
    """What was examined, as `doctor --json` prints it.

    verdict: one sentence, for people. cache: the folder of compiled kernels, None where none is private.
    model: its name, or why it is refused; runtimes and profile are of this model. allowed: it may classify
    here; False for the demo model where a key is trusted: it only tests the runtimes then. budget: of a
    slide, where it was asked for.
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
    memory: Memory | None = None
    places: tuple[Place, ...] = ()
    allowed: bool = True
    budget: SlideBudget | None = None


def examine(
    path: Path | None, measure: Callable[[Setting], None] | None = None, host: Host | None = None
) -> Health:
    """Examine this machine with a model.

    path: of the model, None: the embedded demo model. measure: measure every setting and keep the profile; it
    is called with each. None: the profile that was kept before. host: the machine, None: this one.

    A model that is refused is a finding; that the unsigned demo model is, where a key is trusted, is as it
    should be. Raises MissingInputError; with `measure` RuntimeUnavailable and
    OutputError too.
    """
    host = host or Host()
    try:
        model = Model.load(path) if path else Model.demo()
    except ModelError as error:
        demo = _demo_of_a_machine_that_trusts() if path is None and measure is None else None
        if demo is None:
            verdict = "not healthy: the model is refused"
            return _health(RESEARCH_USE, False, verdict, f"refused: {error}", host=host)
        trials = try_runtimes(demo, host)
        healthy, verdict = judge(trials)
        verdict += "; the demo model is not allowed here, models of the trusted signer are" if healthy else ""
        name = f"the demo model, to test the runtimes with; not allowed here: {error}"
        return _health(notice(demo), healthy, verdict, name, trials, host=host, allowed=False)
    profile = find_profile(model, host)
    if measure is not None:
        place = profile_path(model, host)
        check_folder(place.parent)
        ensure_folder(place.parent)
        with alone_with(place):  # two that measure at once measure each other
            profile = tune(model, measure, host)
            write_profile(profile, place)
    trials = try_runtimes(model, host)
    manifest = model.manifest
    name = f"{manifest.name} {manifest.version}, {manifest.scheme}"
    return _health(notice(model), *judge(trials), name, trials, profile, host=host)


def _demo_of_a_machine_that_trusts() -> Model | None:
    """The demo model, where nothing but a trusted key speaks against it, and signatures can be checked."""
    try:
        if not configured_trust():
            return None
        require_ed25519()
        return Model.demo(trust="anyone")
    except (ModelError, RuntimeUnavailable):
        return None


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
    *,
    host: Host,
    allowed: bool = True,
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
        memory=memory_now(),
        places=places_of(host),
        allowed=allowed,
    )


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
