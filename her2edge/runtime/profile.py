"""What `her2edge doctor --tune` measured: a file per model in this user's state folder, for this machine.

It says how many threads and interpreters suit the machine. Another runtime than the default one is used when
asked for by `runtime="tuned"` only: it changes bits of the results.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta, Struct

from her2edge.errors import Her2EdgeError, MissingInputError, OptionError
from her2edge.files import atomic, ensure_folder, read_input
from her2edge.manifest import Sha256
from her2edge.model import Model
from her2edge.runtime.choose import RUNTIMES, runtime_versions
from her2edge.runtime.machine import Machine, this_machine

MAX_FILE_BYTES = 1 << 20
NAME_CHARS = 16
_AGAIN = "run `her2edge doctor --tune` again"
_log = logging.getLogger("her2edge")

Some = Annotated[int, Meta(ge=1, le=4096)]


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """A way to run a model that was measured, or refused.

    tiles_per_second: of the network alone. refused: why it must not be used here.
    """

    runtime: str
    threads: Some
    interpreters: Some
    precision: str
    tiles_per_second: float | None = None
    refused: str | None = None


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """default: the fastest setting of the default runtime; tuned: the fastest of all."""

    schema_version: Literal[1]
    model: Sha256
    machine: Machine
    versions: dict[str, str]
    default: Setting
    tuned: Setting
    measured: tuple[Setting, ...]


def profile_path(model: Model) -> Path:
    """Where the profile of a model lies, whether there is one or not."""
    folder = platformdirs.user_state_path("her2edge", appauthor=False) / "profiles"
    return folder / f"{model.sha256[:NAME_CHARS]}.json"


def write_profile(profile: Profile, path: Path) -> None:
    """Write it whole or not at all; raises OutputError."""
    ensure_folder(path.parent)
    with atomic(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")


def find_profile(model: Model) -> Profile | None:
    """The model's profile; None where there is none, or, with a warning, where it is not of use here."""
    path = profile_path(model)
    try:
        profile = _read(path)
        _check(profile, model)
    except MissingInputError:
        return None
    except Her2EdgeError as error:
        _log.warning("%s: %s; going on without it: %s", path.name, error, _AGAIN)
        return None
    return profile


def _read(path: Path) -> Profile:
    expected = "a profile that `her2edge doctor --tune` wrote"
    data = read_input(path, MAX_FILE_BYTES, expected, OptionError)
    try:
        return msgspec.json.decode(data, type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"found what is no profile ({error}), expected {expected}") from error


def _check(profile: Profile, model: Model) -> None:
    """Raises OptionError where it was measured on something else."""
    here = (model.sha256, this_machine(), runtime_versions())
    there = (profile.model, profile.machine, profile.versions)
    names = ("model", "machine", "set of runtime versions")
    for name, expected, found in zip(names, here, there, strict=True):
        if found != expected:
            raise OptionError(f"found the profile of another {name}, expected this one's")
    for setting in (profile.default, profile.tuned):
        if setting.runtime not in RUNTIMES or setting.refused is not None:
            raise OptionError(
                f"found {setting.runtime!r} as the setting to use, expected a runtime that works"
            )
