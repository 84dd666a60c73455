"""Fresh processes: how long from nothing to the first result, and how much memory `classify` holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from her2edge.errors import InferenceError
from her2edge_cli import exits

STARTS = 3  # and one before them, which fills the caches of files and kernels
LONGEST = 20.0  # seconds of `classify` that are watched
_EVERY = 0.02
_FIRST_RESULT = """
import json, sys, time
times = [time.perf_counter()]
import her2edge
times.append(time.perf_counter())
path, options = sys.argv[1], json.loads(sys.argv[2])
model = her2edge.Model.load(path) if path else her2edge.Model.demo()
times.append(time.perf_counter())
options = her2edge.Options(stain=her2edge.stain.StainMode.PER_TILE, **options)
classifier = her2edge.TileClassifier(model, options)
times.append(time.perf_counter())
classifier.classify(model.golden.tiles[0])
times.append(time.perf_counter())
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""


@dataclass(frozen=True)
class Start:
    """Seconds, medians: importing, loading and verifying the model, starting the runtime with its
    self-test, the first tile; `whole` from starting Python to its end."""

    importing: float
    model: float
    runtime: float
    first_tile: float
    whole: float


@dataclass(frozen=True)
class Memory:
    """Resident bytes / 1e6 of `her2edge classify`: the median of its middle third, and the most."""

    steady_mb: float
    peak_mb: float


def cold_start(model: Path | None, options: Mapping[str, object]) -> Start:
    """From nothing to the first result, in processes of their own.

    options: threads, interpreters and runtime of her2edge.Options. Raises InferenceError.
    """
    command = [sys.executable, "-c", _FIRST_RESULT, str(model or ""), json.dumps(options)]
    starts = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        whole = time.perf_counter() - began
        if done.returncode:
            raise InferenceError(
                f"a fresh process ended with {done.returncode}, expected a result: {_last_line(done.stderr)}"
            )
        starts.append([*json.loads(done.stdout), whole])
    return Start(*(round(median(column), 3) for column in zip(*starts[1:], strict=True)))


def memory_of_classify(arguments: Sequence[str]) -> Memory | None:
    """Watch `her2edge classify ARGUMENTS` for 20 s at most; None where the system has no /proc.

    Steady is the middle third: start-up is over, and the files, whose picture of the slide comes on top, are
    not yet written. Raises InferenceError where the command fails.
    """
    if not Path("/proc/self/statm").exists():
        return None
    readings = []
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        command = [sys.executable, "-m", "her2edge_cli", "classify", *arguments, "--out", folder]
        quiet, errors = subprocess.DEVNULL, Path(folder, "stderr")
        with errors.open("wb") as log, subprocess.Popen(command, stdout=quiet, stderr=log) as child:
            began = time.perf_counter()
            while child.poll() is None and time.perf_counter() - began < LONGEST:
                if resident := _resident_bytes(child.pid):
                    readings.append(resident)
                time.sleep(_EVERY)
            ended = child.poll()
            child.terminate()
        if ended not in (None, exits.DONE, exits.PARTLY):
            last = _last_line(errors.read_text("utf-8", "replace"))
            raise InferenceError(f"`her2edge classify` ended with {ended}, expected results: {last}")
    if not readings:
        return None
    third = len(readings) // 3
    steady = median(readings[third : len(readings) - third])
    return Memory(round(steady / 1e6, 1), round(max(readings) / 1e6, 1))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1]


def _resident_bytes(pid: int) -> int:
    """0 where the process has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
