"""A command as a process of its own: seconds, the times it marked, memory of it and of all its children."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marks import FILE, FIRST, READING

EVERY = 0.02  # seconds between two looks at the memory
PAGE = os.sysconf("SC_PAGE_SIZE")


class FailedError(Exception):
    """The command ended with another code than 0; says how."""


@dataclass(frozen=True)
class Ran:
    """seconds: of the whole process. start: until it began to read tiles; first: until the first was
    classified, seconds from its beginning. peak_mb: resident memory of it and its children together."""

    seconds: float
    start: float
    first: float
    peak_mb: float


def run(command: Sequence[str], folder: Path) -> Ran:
    """Run it to its end; marks and what it prints are kept in the folder. Raises FailedError."""
    marks, log = folder / "marks", folder / "log"
    stop, peak = threading.Event(), [0]
    with log.open("wb") as printed:
        began = time.monotonic()
        child = subprocess.Popen(
            command, stdout=printed, stderr=subprocess.STDOUT, env=os.environ | {FILE: str(marks)}
        )
        watcher = threading.Thread(target=_watch, args=(child.pid, stop, peak))
        watcher.start()
        code = child.wait()
        seconds = time.monotonic() - began
        stop.set()
        watcher.join()
    if code:
        raise FailedError(_reason(log, code))
    times = dict(line.split() for line in reversed(marks.read_text().splitlines()))
    start, first = (float(times[name]) - began for name in (READING, FIRST))
    return Ran(round(seconds, 3), round(start, 3), round(first, 3), round(peak[0] / 1e6, 1))


def _watch(pid: int, stop: threading.Event, peak: list[int]) -> None:
    while not stop.wait(EVERY):
        peak[0] = max(peak[0], sum(map(_resident, _tree(pid))))


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:  # ended meanwhile
            continue
        found += children
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _reason(log: Path, code: int) -> str:
    """The last line that it printed: of a Python program what was wrong."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"ended with {code}: {lines[-1].strip() if lines else 'it said nothing'}"
