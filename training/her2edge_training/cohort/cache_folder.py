"""The folder of a tile cache as it is found: whose it is, who may add to it, are its tiles of use."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from her2edge.alone import LOCK
from her2edge.claim import claim, unclaim
from her2edge.errors import Her2EdgeError, OutputError, OutputWriteError
from her2edge.files import json_bytes, read_json, write_bytes, write_error
from her2edge_training.cohort.cache_maker import Maker

MAKER, PIXELS, INDEX = "cache.json", "tiles.u8", "tiles.index"
_OURS = {MAKER, PIXELS, INDEX, LOCK, f".partial-{MAKER}"}
_OTHER = "choose another --cache"
_WITHOUT = "training goes on without it"

Say = Callable[[str], None]


def take(place: Path, maker: Maker, say: Say) -> tuple[bool, FileIO | None]:
    """Whether the folder, which is made, is of use for tiles of this maker; and its lock, where this process
    may add to it. Tiles of another maker are removed. What is wrong with the disk is said.

    Raises OutputError where the folder cannot be made, or holds anything else.
    """
    _refuse_other(place)
    lock = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = _claimed(place, say)
        of_use = _is_ready(place, maker, lock is not None, say)
    except OSError as error:
        leave(place, lock)
        reason = error.strerror or str(error)
        if not (isinstance(error, OutputWriteError) or write_error(error) is OutputWriteError):
            raise OutputError(f"tile cache {place.name}: cannot be created ({reason}): {_OTHER}") from error
        say(f"tile cache: {reason}: free some space or {_OTHER}; {_WITHOUT}")
        return False, None
    if not of_use:
        leave(place, lock)
    return of_use, lock if of_use else None


def leave(place: Path, lock: FileIO | None) -> None:
    """Let others add to it."""
    if lock is not None:
        unclaim(lock, place / LOCK)


def _refuse_other(place: Path) -> None:
    """Raise OutputError where a file has the folder's name, or anything but a cache lies in it."""
    for path in (place.parent, place):
        if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112 - Path's raises for a name too long
            raise OutputError(f"tile cache {path.name}: found a file, expected a folder: {_OTHER}")
    if not os.path.isdir(place):  # noqa: PTH112 - as above
        return
    try:
        other = [item.name for item in place.iterdir() if item.name not in _OURS or item.is_symlink()]
    except OSError as error:
        raise OutputError(f"tile cache {place.name}: cannot be read ({error.strerror}): {_OTHER}") from error
    if other:
        raise OutputError(
            f"tile cache {place.name}: found {other[0]}, expected a tile cache or nothing: {_OTHER}"
        )


def _claimed(place: Path, say: Say) -> FileIO | None:
    """The lock of the one process that adds; None, and why is said, where only reading is possible."""
    try:
        return claim(place / LOCK, name="tile cache")
    except Her2EdgeError:
        say("tile cache: another command adds to it: its tiles are read, others are decoded in every epoch")
    except OSError as error:
        say(f"tile cache: {error.strerror}: its tiles are read, others are decoded in every epoch")
    return None


def _is_ready(place: Path, maker: Maker, writable: bool, say: Say) -> bool:
    """Whether it holds tiles of this maker, or none; others are removed where that can be. Raises OSError."""
    former = _former(place / MAKER)
    if former == maker:
        return True
    found = [name for name in (MAKER, INDEX, PIXELS) if (place / name).exists()]
    which = (
        "found one that was not begun properly"
        if former is None
        else f"found one of another version (release {former.release}, {former.decoder})"
    )
    if not writable:
        say(f"tile cache: {which if found else 'found none'}, and cannot make one: {_WITHOUT}")
        return False
    if found:
        say(f"tile cache: {which}: built anew")
    for name in found:
        (place / name).unlink()
    write_bytes(place / MAKER, json_bytes(maker))
    return True


def _former(path: Path) -> Maker | None:
    try:
        return read_json(path, Maker, limit=1 << 12, expected="what made a tile cache", wrong=OutputError)
    except Her2EdgeError:
        return None
