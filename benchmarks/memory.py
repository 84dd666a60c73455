"""Memory of `her2edge classify`: resident by step, its peak, the smallest memory cgroup in which it ends.

    .venv/bin/python benchmarks/memory.py --slide SLIDE --mpp 0.25 [--model MODEL] [--first-start]
        [--cgroup] [--save NAME]

Steps are of one process that does one thing after the other; the peak (VmHWM) is of the command itself, in a
process of its own. Linux only: the figures are the kernel's. --first-start: also with an empty cache of
kernels, which takes a minute. --cgroup: needs root, and takes some minutes. `random_student.py` makes a
MODEL as small as a student.
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
    parser.add_argument("--model", type=Path, help="default: the embedded demo model")
    parser.add_argument("--first-start", action="store_true", help="also with kernels that are compiled")
    parser.add_argument("--cgroup", action="store_true", help="find the smallest memory that will do")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    found = measure(given)
    if given.save:
        key = f"memory_{found['model'].replace('-', '_')}"
        print(save(key, found, given.save))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    more = ["--model", str(given.model.absolute())] if given.model else []
    command = [sys.executable, str(STEPS), str(given.slide), *map(str, filter(None, [given.model]))]
    for _ in range(2):  # the first fills the cache of kernels
        taken = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(taken.stdout.splitlines()[-1])
    for step in found["steps"]:
        mb = ", ".join(f"{name} {step[name]:.0f}" for name in ("rss", "peak", "own", "files"))
        print(f"{step['step']:24} {step['cpu_seconds']:6.2f} s of a core; MB: {mb}")
    options = [str(given.slide.absolute()), *(["--mpp", given.mpp] if given.mpp else []), *more]
    found["peak_mb"] = {threads: peak(options, threads) for threads in (1, 2)}
    print("peak of classify by threads, MB:", found["peak_mb"])
    found["disk_mb"] = {name: disk(name) for name in COMPILERS}
    print("installed, MB:", found["disk_mb"])
    if given.first_start:
        with tempfile.TemporaryDirectory() as cache:
            found["first_start_mb"] = peak(options, 1, {"NUMBA_CACHE_DIR": cache})
            found["kernels_mb"] = round(
                sum(one.stat().st_size for one in Path(cache).rglob("*.nbc")) / 1e6, 1
            )
        print(
            f"peak where kernels are compiled: {found['first_start_mb']} MB; kept: {found['kernels_mb']} MB"
        )
    if given.cgroup:
        found["cgroup"] = in_group(options, given, found["peak_mb"][1])
    return found


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
    files = metadata.distribution(name).files or []
    return round(
        sum(Path(str(one.locate())).stat().st_size for one in files if Path(str(one.locate())).exists())
        / 1e6,
        1,
    )


def in_group(options: list[str], given: argparse.Namespace, most: int) -> list[dict[str, Any]] | None:
    """Runs of `classify` with less and less memory; None where there is no memory cgroup to be had."""
    files = [*files_of_python(), given.slide, *([given.model] if given.model else [])]
    with memory_group() as group, tempfile.TemporaryDirectory() as folder:
        if group is None:
            print("no memory cgroup can be made here")
            return None
        os.environ[_TOLD] = str(Path(folder, "peak"))
        high = most + 60
        runs = smallest(group, classify(options, 1, Path(folder, "out")), files, 40, high)
    fit = [run.limit_mb for run in runs if run.code == 0]
    print(f"smallest memory cgroup: {min(fit, default=high)} MB")
    return [asdict(run) for run in runs]


if __name__ == "__main__":
    main()
