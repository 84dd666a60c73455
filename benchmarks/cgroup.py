"""A memory cgroup of Linux, version 1 or 2: what a command needs when it may have no more than so much.

File pages count, too: those that the command is the first to read. So its files are dropped from the
system's cache before each run, as far as no other process has them mapped.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_JOIN = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True)
class Group:
    """A cgroup's folder, and what its files are called: the limit, the most that was charged."""

    folder: Path
    limit: str
    peak: str

    def run(self, command: Sequence[str], limit_mb: int) -> tuple[int, float, int]:
        """(exit code, seconds, MB charged at most) of a command with this limit, from its first byte on."""
        (self.folder / self.limit).write_text(str(limit_mb * 1_000_000))
        with contextlib.suppress(OSError):  # of version 2 before Linux 6.12: never set back, one group a run
            (self.folder / self.peak).write_text("0")
        began = time.perf_counter()
        wrapped = ["sh", "-c", _JOIN, str(self.folder / "cgroup.procs"), *command]
        code = subprocess.run(wrapped, capture_output=True, check=False).returncode
        seconds = time.perf_counter() - began
        charged = (self.folder / self.peak).read_text() if (self.folder / self.peak).exists() else "0"
        return code, seconds, round(int(charged) / 1e6)


@contextlib.contextmanager
def memory_group() -> Iterator[Group | None]:
    """A group of our own; None where none can be made: no root, no Linux, no memory controller."""
    name = f"her2edge-{os.getpid()}"
    second = (ROOT / "cgroup.controllers").exists()
    folder = (ROOT if second else ROOT / "memory") / name
    names = (
        ("memory.max", "memory.peak") if second else ("memory.limit_in_bytes", "memory.max_usage_in_bytes")
    )
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        yield Group(folder, *names) if (folder / names[0]).exists() else None
    finally:
        for _ in range(50):  # the last process may still be on its way out
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)


def smallest(group: Group, command: Sequence[str], files: Iterable[Path], low: int, high: int) -> list[Run]:
    """A run with `high` MB, then runs with limits between `low`, too little, and that, by halves, down to
    steps of 10 MB. files: what is dropped from the system's cache before each.
    """
    runs, places, limit = [], list(files), high
    while high - low > 10:
        forget(places)
        run = Run(limit, *group.run(command, limit))
        runs.append(run)
        what = "done" if run.code == 0 else f"ended with {run.code}"
        print(f"  {limit} MB: {what}, {run.seconds:.1f} s, charged {run.charged_mb} MB", flush=True)
        low, high = (low, limit) if run.code == 0 else (limit, high)
        limit = (low + high) // 20 * 10
    return runs


@dataclass(frozen=True)
class Run:
    """A run with a limit: its exit code, 0 for results; seconds; what was charged at most."""

    limit_mb: int
    code: int
    seconds: float
    charged_mb: int


def forget(places: Iterable[Path]) -> None:
    """Drop files, and those below folders, from the system's cache; what others have mapped stays."""
    for place in places:
        for path in place.rglob("*") if place.is_dir() else [place]:
            with contextlib.suppress(OSError):
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(handle)


def files_of_python() -> list[Path]:
    """Where Python and its packages lie."""
    return [
        Path(one) for one in dict.fromkeys((*sys.path, str(Path(os.__file__).parent))) if Path(one).exists()
    ]
