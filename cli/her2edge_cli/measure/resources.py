"""What a machine has left for us: memory, room on its disks, and where this user may write."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from her2edge.model.trust import trust_files
from her2edge.runtime import Host
from her2edge.runtime.machine import kernel_cache
from her2edge.text import shown

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Place:
    """A folder that is written to, there or to be made. what: `results` (where the command was called),
    `config`, `state` or `cache`. free: bytes for this user, None where the system does not say."""

    what: str
    path: str
    writable: bool
    free: int | None


@dataclass(frozen=True)
class Memory:
    """Bytes of the machine, and those that a new program can have; None where the system does not say."""

    total: int | None
    available: int | None


def places_of(host: Host) -> tuple[Place, ...]:
    """Where results go unless another folder is named, and the user's folders."""
    return tuple(_place(what, folder) for what, folder in _folders(host))


def _folders(host: Host) -> Iterator[tuple[str, Path]]:
    with contextlib.suppress(OSError):  # the folder is gone
        yield "results", Path.cwd()
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield "config", trust_files()[0].parent
        yield "state", host.state
        yield "cache", kernel_cache() or platformdirs.user_cache_path("her2edge", appauthor=False)


def _place(what: str, folder: Path) -> Place:
    """A folder that is not there yet is what the next one above it is."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110 - raises nothing
    try:
        free: int | None = shutil.disk_usage(there).free
    except OSError:
        free = None
    writable = os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)  # noqa: PTH112 - as above
    return Place(what, shown(str(folder)), writable, free)


def memory_now(meminfo: Path = _MEMINFO) -> Memory:
    """As Linux says; elsewhere the total alone, where that can be asked for."""
    with contextlib.suppress(OSError, ValueError):
        lines = (line.split() for line in meminfo.read_text().splitlines())
        sizes = {words[0]: int(words[1]) * 1024 for words in lines if len(words) == 3}
        return Memory(sizes.get("MemTotal:"), sizes.get("MemAvailable:"))
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return Memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None)
    return Memory(None, None)
