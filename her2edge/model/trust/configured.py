"""trust.json: the key this machine trusts, in the configuration folder of the user or of the machine.

    {"key": "<64 hexadecimal digits>", "minimum_epoch": 0}

Each only narrows what loads: where there are several, a model must satisfy them all, so none is ever
overruled. One that is there and cannot be relied on lets nothing load.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from platformdirs import PlatformDirs

from her2edge.errors import ModelError, OptionError
from her2edge.files import json_bytes, others_may_replace, read_input
from her2edge.model.records import Count
from her2edge.model.trust.key import Trust

MAX_FILE_BYTES = 1 << 16
_FORM = 'a trust file, {"key": 64 hexadecimal digits, "minimum_epoch": a whole number}'
_WHERE = "no model is loaded until then; `her2edge trust` shows where it is"


def trust_files() -> tuple[Path, ...]:
    """Where a trust.json counts, whether there is one or not: the user's place first, then the machine's."""
    folders = PlatformDirs("her2edge", appauthor=False).iter_config_paths()
    return tuple(folder / "trust.json" for folder in folders)


def configured_trust() -> tuple[Trust, ...]:
    """What every trust.json of this machine says; raises as `trust_at`."""
    return tuple(trust for path in trust_files() if (trust := trust_at(path)) is not None)


def trust_at(path: Path) -> Trust | None:
    """What the trust.json at one of the `trust_files` says; None where there is none.

    Raises ModelError where it cannot be read, is no trust file, or can be changed by another user.
    """
    try:
        path.lstat()  # a broken link is a trust file that cannot be read
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"{path.name} cannot be looked for ({error.strerror}), {_WHERE}") from error
    try:
        if _open_to_others(path):
            raise ModelError(
                f"{path.name} cannot be relied on: another user owns it or its folder, or may write there; "
                f"take that right away (chmod go-w, chown), {_WHERE}"
            )
        return read_trust(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror or error}), {_WHERE}") from error


class _TrustFile(Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    minimum_epoch: Count = 0


def read_trust(path: Path) -> Trust:
    """Read a trust file; raises MissingInputError, ModelError."""
    data = read_input(path, MAX_FILE_BYTES, _FORM, ModelError)
    try:
        record = msgspec.json.decode(data, type=_TrustFile)
        return Trust(bytes.fromhex(record.key), record.minimum_epoch)
    except (msgspec.DecodeError, UnicodeDecodeError, OptionError) as error:
        raise ModelError(f"{path.name} is no trust file ({error}), expected {_FORM}") from error


def trust_bytes(trust: Trust) -> bytes:
    """A trust file's bytes."""
    return json_bytes(_TrustFile(trust.key.hex(), trust.minimum_epoch))


def _open_to_others(path: Path) -> bool:
    if os.name != "posix":  # a Windows folder is closed by its access list
        return False
    file, folder = path.stat(), path.parent.stat()
    return (
        any(place.st_uid not in (0, os.geteuid()) for place in (file, folder))
        or bool(file.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        or others_may_replace(path)
    )
