"""Seconds from the start of `her2edge classify` to its first result, step by step.

    python benchmarks/start.py --slide SLIDE [--mpp UM] [--model MODEL] [--starts 5] [--save NAME]

Each start is a process of its own (`start_steps.py`), ended when the first tissue tile is in the journal:
what lies before it in the grid was read, too. One start before them fills the caches of files, bytecode and
kernels. Steps are told as they begin; they may lie within others, or run beside them in other threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness import save

STEPS = Path(__file__).with_name("start_steps.py")
SOON_ENOUGH = 0.7  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--model", type=Path, help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    given = {"--mpp": arguments.mpp, "--model": arguments.model}
    options = [word for name, value in given.items() if value for word in (name, str(value))]
    starts = [start(arguments.slide, options) for _ in range(arguments.starts + 1)][1:]
    result = {"slide": arguments.slide.name, **summed(starts)}
    for name, step in result["steps"].items():
        print(
            f"{step['begins']:7.3f} s  {name}: {step['takes']:.3f} s"
            + f", {step['times']} times" * (step["times"] > 1)
        )
    met = "met" if result["first"] <= SOON_ENOUGH else "missed"
    print(f"{result['first']:7.3f} s  the first result, {SOON_ENOUGH} wanted: {met}", end="; ")
    span = f"{result['least']:.3f}..{result['most']:.3f} s"
    print(f"processor {result['processor']:.2f} s; {len(starts)} starts took {span}")
    if arguments.save:
        print(save("start", result, arguments.save))


def start(slide: Path, options: Sequence[str]) -> dict[str, Any]:
    """One start, as `start_steps.py` tells it. Raises SystemExit where it came to no result."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        command = ["classify", str(slide), "--out", folder, *options]
        began = str(time.perf_counter())
        done = subprocess.run(
            [sys.executable, str(STEPS), began, *command],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if not done.stdout.startswith("{"):
        raise SystemExit(f"`her2edge classify` ended with {done.returncode}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def summed(starts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over starts, seconds: of a step when it first begins, and what it takes, all its times
    together; steps in the order in which they begin."""
    firsts = [one["first"] for one in starts]
    steps = {}
    for name in dict.fromkeys(name for one in starts for name in one["spans"]):
        spans = [one["spans"][name] for one in starts if name in one["spans"]]
        steps[name] = {
            "begins": round(median(some[0][0] for some in spans), 4),
            "takes": round(median(sum(end - begin for begin, end in some) for some in spans), 4),
            "times": round(median(map(len, spans))),
        }
    return {
        "starts": len(starts),
        "first": round(median(firsts), 4),
        "least": round(min(firsts), 4),
        "most": round(max(firsts), 4),
        "processor": round(median(one["processor"] for one in starts), 3),
        "steps": dict(sorted(steps.items(), key=lambda step: step[1]["begins"])),
    }


if __name__ == "__main__":
    main()
