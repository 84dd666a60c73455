"""A folder or file that one command at a time writes to: what is read and written back loses no row.

    with alone_in(folder): ...      the folder is made; .her2edge.lock in it is held
    with alone_with(file): ...      .<name>.lock beside the file is held

The lock goes when its holder ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from her2edge.claim import claim, unclaim
from her2edge.errors import Her2EdgeError, NotOursError, TakenError
from her2edge.files import ensure_folder, write_error

LOCK = ".her2edge.lock"
_POLL = 0.05  # seconds
_ROUNDS = 20  # of a folder that goes away as soon as it was made


@contextlib.contextmanager
def alone_in(folder: Path, *, wait: float = 0.0, ours: bool = False) -> Iterator[None]:
    """Hold a folder, which is made; at the end it is removed where it was made for nothing.

    wait: seconds to wait for another command. ours: removed where it is empty, though it was there before.

    Raises TakenError where another command is at work there, NotOursError where the lock is a link or another
    user's, OutputError.
    """
    ours = ours or not os.path.exists(folder)  # noqa: PTH110 - Path's raises for a name too long
    try:
        with _held(folder / LOCK, folder, wait):
            yield
    finally:
        if ours:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()


@contextlib.contextmanager
def alone_with(file: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a file that is to be written, whose folder is there; wait and errors: as `alone_in`."""
    with _held(lock_of(file), None, wait, file.name):
        yield


def lock_of(file: Path) -> Path:
    """The lock beside a file."""
    return file.with_name(f".{file.name}.lock")


@contextlib.contextmanager
def _held(lock: Path, folder: Path | None, wait: float, name: str = "") -> Iterator[None]:
    name, until, gone = name or lock.parent.name or str(lock.parent), time.monotonic() + wait, 0
    held = None
    try:
        while held is None:
            if folder is not None:
                ensure_folder(folder)
            try:
                held = claim(lock, name=name)
            except TakenError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_POLL)
            except NotOursError as error:
                raise NotOursError(f"{name}: the lock cannot be created: {error}") from error
            except OSError as error:
                gone += 1
                if isinstance(error, FileNotFoundError) and folder is not None and gone < _ROUNDS:
                    continue  # who made it for nothing has just removed it
                if isinstance(error, Her2EdgeError):
                    raise
                raise write_error(error)(
                    f"{name}: cannot be created ({error.strerror}); create the folder or choose another place"
                ) from error
        yield
    finally:
        if held is not None:
            unclaim(held, lock)
