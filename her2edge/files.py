"""Files that appear whole or not at all; files of the user's, read once into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from her2edge.errors import Her2EdgeError, MissingInputError, OutputError, OutputWriteError


def read_input(path: Path, limit: int, expected: str, wrong: type[Her2EdgeError]) -> bytes:
    """All bytes of a file, `limit` at most; expected: what it should be, for the message.

    Raises MissingInputError where there is none; `wrong` for what is no file, too large or unreadable.
    """
    try:
        if path.exists() and not path.is_file():
            raise wrong(f"{path.name}: found a folder or device, expected {expected}")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingInputError(f"{path.name}: found no such file, expected {expected}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, Her2EdgeError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise wrong(f"{path.name!r} cannot be read ({reason}), expected {expected}") from error
    if len(data) > limit:
        raise wrong(f"{path.name}: found more than {limit >> 10} KiB, expected {expected}")
    return data


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def others_may_replace(path: Path) -> bool:
    """Whether another user may write to a folder on the way to `path` (POSIX); sticky ones do no harm."""
    modes = (parent.stat().st_mode for parent in {*path.parents, *path.resolve().parents})
    return any(mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX for mode in modes)


def ensure_folder(folder: Path, mode: int = 0o777) -> None:
    """Create the folder and its parents; mode: their permissions, less the umask. Raises OutputError."""
    try:
        for place in (*reversed(folder.parents), folder):
            place.mkdir(mode, exist_ok=True)
    except OSError as error:
        raise write_error(error)(
            f"{folder.name or folder}: the output folder cannot be created ({error.strerror}); "
            "choose another --out"
        ) from error
    _check_writable(folder)


def check_folder(folder: Path) -> None:
    """Raise OutputError where `ensure_folder` would, as far as can be told without making anything.

    For whoever computes long before there is something to write.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise OutputError(
            f"{folder.name or folder}: found {there.name}, which is no folder, where the output folder is to "
            "be; choose another --out"
        )
    _check_writable(there)


def check_file(path: Path) -> None:
    """Raise OutputError where a file of this name could not be written: like `check_folder`, beforehand.

    Its folder must be there. What has the name may be a file, which will be replaced; a link is refused.
    """
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"found no folder {folder} that {path.name} can be written into: make it or choose another --out"
        )
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "a device"
        raise OutputError(f"{path.name}: found {kind}, expected a file or nothing: choose another --out")


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder.name or folder}: the output folder cannot be written to; choose another --out"
        )


def write_error(error: OSError) -> type[OutputError]:
    """What to raise where a file cannot be created: OutputWriteError for a full or broken disk."""
    return OutputWriteError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else OutputError


def forget(folder: Path, *names: str) -> None:
    """Remove what a former run left under these names; raises OutputError where that cannot be."""
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{name}: the former one cannot be removed ({error.strerror}); choose another --out"
            ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path of the same suffix to write to; it takes its name when everything is on the disk.

    Raises OutputError where nothing can be created, OutputWriteError where writing fails; the file that
    was there before stays then, and nothing partial is left.
    """
    temporary = path.with_name(f".partial-{path.name}")
    try:
        temporary.unlink(missing_ok=True)  # a link under that name would lead elsewhere
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, Her2EdgeError) or not isinstance(error, OSError):
            raise
        raise OutputWriteError(
            f"{path.name}: writing failed ({error.strerror or error}); free some space or choose another "
            "place, and run again"
        ) from error


@contextlib.contextmanager
def atomic(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """`whole`, as a binary file to write to; mode: its permissions from the first byte on, less the umask."""
    with whole(path) as temporary:
        try:
            temporary.unlink(missing_ok=True)  # what a killed run left would keep its permissions
            file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
        except OSError as error:
            raise write_error(error)(
                f"{path.name}: cannot be created ({error.strerror}); choose another place"
            ) from error
        with file:
            yield file


def write_bytes(path: Path, data: bytes) -> None:
    """`atomic` for bytes at hand."""
    with atomic(path) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the operating system can (Windows cannot)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_bytes(record: object, *, ordered: bool = False) -> bytes:
    """A record as JSON that people can read: two spaces a level, a line end last; ordered: keys sorted."""
    data = msgspec.json.encode(record, order="sorted" if ordered else None)
    return msgspec.json.format(data, indent=2) + b"\n"


def write_json(path: Path, record: object) -> None:
    """`json_bytes` into a file, whole or not at all. Raises OutputError."""
    write_bytes(path, json_bytes(record))
