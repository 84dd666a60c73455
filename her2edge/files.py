"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from her2edge.errors import Her2EdgeError, OutputError, OutputWriteError


def ensure_folder(folder: Path) -> None:
    """Create the folder and its parents; raises OutputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder.name or folder}: the output folder cannot be created ({error.strerror}); "
            "choose another --out"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder.name or folder}: the output folder cannot be written to; choose another --out"
        )


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
def atomic(path: Path) -> Iterator[BinaryIO]:
    """`whole`, as a binary file to write to."""
    with whole(path) as temporary:
        try:
            file = temporary.open("wb")
        except OSError as error:
            raise OutputError(
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
