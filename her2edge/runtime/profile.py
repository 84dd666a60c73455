"""What `her2edge doctor --tune` measured: a file per model in this user's state folder, for this machine.

It says how many threads and interpreters suit the machine. A runtime other than the one asked for is used
by `runtime="tuned"` only: it changes bits of the results.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from her2edge.errors import Her2EdgeError, MissingInputError, OptionError
from her2edge.files import ensure_folder, read_json, write_json
from her2edge.model.file import Model
from her2edge.model.records import Sha256
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.choose import Plan, runtime_versions
from her2edge.runtime.host import Host
from her2edge.runtime.machine import Machine, this_machine

MAX_FILE_BYTES = 1 << 20
NAME_CHARS = 16
NEARLY_AS_FAST = 0.97  # then fewer interpreters, which hold less memory, and fewer threads
_FORM = "a profile that `her2edge doctor --tune` wrote"
_log = logging.getLogger("her2edge")

Some = Annotated[int, Meta(ge=1, le=4096)]


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """A plan that was measured: tiles_per_second of the network alone; or why it was refused."""

    runtime: str
    threads: Some
    interpreters: Some
    precision: str
    tiles_per_second: Annotated[float, Meta(gt=0)] | None = None
    refused: str | None = None

    @property
    def plan(self) -> Plan:
        """How to run it."""
        return Plan(self.runtime, self.threads, self.interpreters, self.precision)


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured, for which model, on which machine, with which runtimes installed."""

    schema_version: Literal[1]
    model: Sha256
    machine: Machine
    versions: dict[str, str]
    measured: tuple[Setting, ...]

    def best(self, runtime: str | None = None) -> Setting | None:
        """The fastest setting; of one runtime in full precision, where named. None where none works."""
        able = [
            (setting.tiles_per_second, setting)
            for setting in self.measured
            if setting.tiles_per_second is not None
            and (runtime is None or (setting.runtime, setting.precision) == (runtime, PRECISION))
        ]
        if not able:
            return None
        enough = NEARLY_AS_FAST * max(rate for rate, _ in able)
        return min(
            (setting for rate, setting in able if rate >= enough),
            key=lambda setting: (setting.interpreters, setting.threads),
        )


def profile_path(model: Model, host: Host) -> Path:
    """Where the profile of a model lies, whether there is one or not."""
    return host.state / "profiles" / f"{model.sha256[:NAME_CHARS]}.json"


def write_profile(profile: Profile, path: Path) -> None:
    """Write it whole or not at all; raises OutputError."""
    ensure_folder(path.parent)
    write_json(path, profile)


def find_profile(model: Model, host: Host) -> Profile | None:
    """The model's profile; None where there is none, or, with a warning, where it is of no use here."""
    try:
        return read_profile(model, host)
    except Her2EdgeError as error:
        name = profile_path(model, host).name
        _log.warning("the profile %s is not used: %s; run `her2edge doctor --tune` again", name, error)
        return None


def read_profile(model: Model, host: Host) -> Profile | None:
    """The model's profile, None where there is none; raises Her2EdgeError where it is of no use here."""
    try:
        profile = _read(profile_path(model, host))
    except MissingInputError:
        return None
    _check(profile, model, host)
    return profile


def _read(path: Path) -> Profile:
    return read_json(path, Profile, limit=MAX_FILE_BYTES, expected=_FORM, wrong=OptionError)


def _check(profile: Profile, model: Model, host: Host) -> None:
    """Raises OptionError where it was measured on something else."""
    versions = runtime_versions(host.runtimes)
    here = {"model": model.sha256, "machine": this_machine(), "runtime versions": versions}
    there = {"model": profile.model, "machine": profile.machine, "runtime versions": profile.versions}
    for name, expected in here.items():
        if there[name] != expected:
            raise OptionError(f"found {name} {there[name]}, expected {expected}")
