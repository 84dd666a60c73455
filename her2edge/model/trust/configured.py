"""trust.json: the key this machine trusts, in the configuration folder of the user or of the machine.

    {"key": "<64 hexadecimal digits>", "minimum_epoch": 0}

Each only narrows what loads: where there are several, a model must satisfy them all, so none is ever
overruled. One that is there and cannot be relied on lets nothing load.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from platformdirs import PlatformDirs

from her2edge.errors import ModelError, OptionError
from her2edge.files import json_bytes, open_to_others, read_json
from her2edge.model.records import Count
from her2edge.model.trust.key import Trust

MAX_FILE_BYTES = 1 << 16
_FORM = 'a trust file, {"key": 64 hexadecimal digits, "minimum_epoch": a whole number}'
# Windows' is asked of the system, not of a variable.
_SYSTEM = {"win32": (), "darwin": (Path("/Library/Application Support/her2edge"),)}.get(
    sys.platform, (Path("/etc/xdg/her2edge"),)
)
_WHERE = "no model is loaded until then; `her2edge trust` shows where it is"


def trust_files() -> tuple[Path, ...]:
    """Where a trust.json counts, whether there is one or not: the user's place first, then the machine's.

    XDG_CONFIG_DIRS may add places; the system's own is always looked at.
    """
    folders = [*PlatformDirs("her2edge", appauthor=False).iter_config_paths(), *_SYSTEM]
    return tuple(folder / "trust.json" for folder in dict.fromkeys(folders))


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
        wrong = open_to_others(path)
        if wrong:
            raise ModelError(
                f"{path.name} cannot be relied on: {wrong}, expected each folder on the way to it to be "
                f"root's or this user's: take that right away (chmod go-w, chown), {_WHERE}"
            )
        return read_trust(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror or error}), {_WHERE}") from error


class _TrustFile(Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    minimum_epoch: Count = 0


def read_trust(path: Path) -> Trust:
    """Read a trust file; raises MissingInputError, ModelError."""
    record = read_json(path, _TrustFile, limit=MAX_FILE_BYTES, expected=_FORM, wrong=ModelError)
    try:
        return Trust(bytes.fromhex(record.key), record.minimum_epoch)
    except OptionError as error:
        raise ModelError(f"{path.name} is not a trust file ({error}), expected {_FORM}") from error


def trust_bytes(trust: Trust) -> bytes:
    """A trust file's bytes."""
    return json_bytes(_TrustFile(trust.key.hex(), trust.minimum_epoch))
