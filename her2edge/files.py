"""Files that appear whole or not at all; files of the user's, read once into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from her2edge.claim import claim, unclaim
from her2edge.errors import Her2EdgeError, MissingInputError, OutputError, OutputWriteError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder.name or folder}: the output folder cannot be written to; choose another --out"
        )


def write_error(error: OSError) -> type[OutputError]:
    """What to raise where a file cannot be created: OutputWriteError for a full or broken disk."""
    return OutputWriteError if error.errno in (*_FULL, errno.EIO) else OutputError


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

    Raises TakenError where another process writes this file, OutputError where nothing can be created,
    OutputWriteError where writing fails; the file that was there before stays then, and nothing partial is
    left. For what opens files by name and locks them, as HDF5 does; `atomic` needs no lock beside its file.
    """
    temporary = _temporary(path)
    with _claimed(temporary.with_name(f"{temporary.name}.lock"), path), _our_errors(path):
        try:
            temporary.unlink(missing_ok=True)  # a link under that name would lead elsewhere
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def atomic(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """`whole`, as a binary file to write to; mode: its permissions from the first byte on, less the umask."""
    temporary = _temporary(path)
    with _claimed(temporary, path, mode) as claimed, _our_errors(path):
        with open(claimed.fileno(), "wb", closefd=False) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.name == "nt":  # an open file keeps its name
            claimed.close()
        temporary.replace(path)
        _sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")


@contextlib.contextmanager
def _claimed(place: Path, path: Path, mode: int = 0o644) -> Iterator[io.FileIO]:
    """A file of this process's alone, on the way to `path`; removed where it has its name in the end."""
    try:
        claimed = claim(place, mode, name=path.name, remove_links=True)
    except OSError as error:
        if isinstance(error, Her2EdgeError):
            raise
        raise write_error(error)(
            f"{path.name}: cannot be created ({error.strerror}); choose another place"
        ) from error
    try:
        yield claimed
    finally:
        unclaim(claimed, place)


@contextlib.contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, Her2EdgeError):
            raise
        advice = "free some space" if error.errno in _FULL else "check the disk"
        raise OutputWriteError(
            f"{path.name}: writing failed ({error.strerror or error}); {advice} or choose another place, and "
            "run again"
        ) from error


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
