"""Memory of `her2edge classify`: resident by step, its peak, the smallest memory cgroup in which it ends.

    .venv/bin/python benchmarks/memory.py --slide SLIDE --mpp 0.25 [--model MODEL] [--first-start]
        [--cgroup] [--save NAME]

Of the demo model and of MODEL; `random_student.py` makes one as small as a student. Steps are of one process
that does one thing after the other; the peak (VmHWM) is of the command itself, in a process of its own.
Linux only: the figures are the kernel's. --first-start: also with an empty cache of kernels, which takes
minutes. --cgroup: needs root, and takes minutes; see cgroup.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from cgroup import files_of_python, memory_group, smallest
from harness import save

STEPS = Path(__file__).with_name("memory_steps.py")
COMPILERS = ("numba", "llvmlite")
_TOLD = "HER2EDGE_PEAK"
_COMMAND = f"""
import atexit, os, re
from pathlib import Path
def tell():
    found = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    Path(os.environ["{_TOLD}"]).write_text(found[1])
atexit.register(tell)
from her2edge_cli import run
run()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--mpp", help="um per pixel, where the slide states another one or none")
    parser.add_argument("--model", type=Path, action="append", default=[], help="beside the demo model")
    parser.add_argument("--first-start", action="store_true", help="also with kernels that are compiled")
    parser.add_argument("--cgroup", action="store_true", help="find the smallest memory that will do")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    runs = [measure(model, given) for model in (None, *given.model)]
    found: dict[str, Any] = {"slide": given.slide.name, "runs": runs}
    found["disk_mb"] = {name: disk(name) for name in COMPILERS}
    found["versions"] = {name: metadata.version(name) for name in (*COMPILERS, "ai-edge-litert")}
    print("installed, MB:", found["disk_mb"])
    if given.first_start:
        with tempfile.TemporaryDirectory() as cache:
            options = options_of(None, given)
            found["first_start_mb"] = peak(options, 1, {"NUMBA_CACHE_DIR": cache})
            sizes = [one.stat().st_size for one in Path(cache).rglob("*.nbc")]
        found["kernels_mb"] = round(sum(sizes) / 1e6, 1)
        print(
            f"peak where kernels are compiled: {found['first_start_mb']} MB; kept: {found['kernels_mb']} MB"
        )
    if given.save:
        print(save("memory", found, given.save))


def measure(model: Path | None, given: argparse.Namespace) -> dict[str, Any]:
    """What one model takes; None: the demo model."""
    command = [sys.executable, str(STEPS), str(given.slide), *([] if model is None else [str(model)])]
    for _ in range(2):  # the first fills the cache of kernels
        taken = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(taken.stdout.splitlines()[-1])
    print(f"{found['model']}, {found['flatbuffer_mb']} MB")
    for step in found["steps"]:
        mb = ", ".join(f"{name} {step[name]:.0f}" for name in ("rss", "peak", "own", "files"))
        print(f"  {step['step']:24} {step['cpu_seconds']:6.2f} s of a core; MB: {mb}", flush=True)
    options = options_of(model, given)
    found["peak_mb"] = {threads: peak(options, threads) for threads in (1, 2)}
    print("  peak of classify by threads, MB:", found["peak_mb"], flush=True)
    if given.cgroup:
        found["cgroup"] = in_group(options, [given.slide, *([model] if model else [])], found["peak_mb"][1])
    return found


def options_of(model: Path | None, given: argparse.Namespace) -> list[str]:
    options = [str(given.slide.absolute()), *(["--mpp", given.mpp] if given.mpp else [])]
    return [*options, *(["--model", str(model.absolute())] if model else [])]


def peak(options: list[str], threads: int, environment: dict[str, str] | None = None) -> int:
    """The most that was resident of `her2edge classify`, MB."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "peak")
        given = {**os.environ, **(environment or {}), _TOLD: str(told)}
        command = classify(options, threads, Path(folder, "out"))
        subprocess.run(command, capture_output=True, check=True, env=given)
        return round(1.024e-3 * int(told.read_text()))


def classify(options: list[str], threads: int, out: Path) -> list[str]:
    more = ["--threads", str(threads), "--fresh", "--out", str(out)]
    return [sys.executable, "-c", _COMMAND, "classify", *options, *more]


def disk(name: str) -> float:
    """What a package's files take, MB."""
    files = [Path(str(one.locate())) for one in metadata.distribution(name).files or []]
    return round(sum(one.stat().st_size for one in files if one.exists()) / 1e6, 1)


def in_group(options: list[str], files: list[Path], most: int) -> list[dict[str, Any]] | None:
    """Runs of `classify` with less and less memory; None where there is no memory cgroup to be had."""
    with memory_group() as group, tempfile.TemporaryDirectory() as folder:
        if group is None:
            print("  no memory cgroup can be made here")
            return None
        os.environ[_TOLD] = str(Path(folder, "peak"))
        command = classify(options, 1, Path(folder, "out"))
        runs = smallest(group, command, [*files_of_python(), *files], low=40, high=(most + 60) // 10 * 10)
    return [asdict(run) for run in runs]


if __name__ == "__main__":
    main()
