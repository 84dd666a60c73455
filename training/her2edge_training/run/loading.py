"""How batches are made where nobody says: threads and memory by the machine. It changes no batch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from her2edge.runtime.machine import usable_cores
from her2edge_training.run.options import TrainOptions

_MOST_WORKERS = 16  # Python's lock lets no more be of use
_UNKNOWN_MIB = 2048  # where the system does not say what is free
_MIB = 2**20
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (  # limit and use of a container's memory, bytes: cgroup v2, v1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


@dataclass(frozen=True)
class Loading:
    """workers: threads that make batches; cache_mib: memory for normalised tiles, MiB."""

    workers: int
    cache_mib: int

    @classmethod
    def of(cls, options: TrainOptions, cores: int | None = None, free_mib: int | None = None) -> Loading:
        """What the options say; else a thread for each core, 16 at most, and half of the memory that is free.

        cores, free_mib: None means this machine's.
        """
        workers, cache_mib = options.workers, options.cache_mib
        if workers is None:
            workers = min(cores or usable_cores(), _MOST_WORKERS)
        if cache_mib is None:
            cache_mib = (free_memory_mib() if free_mib is None else free_mib) // 2
        return cls(workers, cache_mib)

    def __str__(self) -> str:
        threads = f"{self.workers} thread" + "s" * (self.workers != 1)
        return f"{threads} for batches, up to {self.cache_mib} MiB of memory for tiles"


def free_memory_mib() -> int:
    """Memory that a new program may take without swapping, MiB, within a container's limit; 4096 where the
    system does not say."""
    free = [_available(), *(_left(*files) for files in _CGROUPS)]
    known = [size for size in free if size is not None]
    return min(known) // _MIB if known else 2 * _UNKNOWN_MIB


def _available() -> int | None:
    """Bytes: Linux' estimate, or half of all memory."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _left(limit: Path, used: Path) -> int | None:
    """Bytes of a container's memory; None where there is no limit."""
    try:
        return max(0, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no such file; "max"
        return None
