"""What the benchmarks share: paired timing, the machine's description, results as JSON.

Functions to compare take turns on the same inputs, so that whatever else the machine does meets all of them
alike; the first call of each is warm-up and not counted. Compare by ratios within one run, never by
milliseconds across runs.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from her2edge.runtime.machine import this_machine

RESULTS = Path(__file__).parent / "results"


def take_turns(
    functions: Mapping[str, Callable[[Any], object]],
    inputs: Sequence[Any],
    rounds: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of every function on every input, `rounds` times, in turns.

    The order is drawn anew for each input: what runs after a heavy one finds its caches empty, and that
    shall not always be the same. clock: seconds. time.process_time leaves out the time that other programs
    took: fair where one thread of half a second shares the machine.
    """
    for function in functions.values():
        function(inputs[0])
    spent: dict[str, list[float]] = {name: [] for name in functions}
    order, chance = list(functions), np.random.default_rng(1)
    for _ in range(rounds):
        for one in inputs:
            chance.shuffle(order)
            for name in order:
                began = clock()
                functions[name](one)
                spent[name].append(1e3 * (clock() - began))
    return spent


def describe(spent: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Median, first and ninth decile, milliseconds, of each function."""
    found = {}
    for name, times in spent.items():
        ordered = sorted(times)
        tenth = len(ordered) // 10
        found[name] = {
            "median_ms": round(median(ordered), 4),
            "p10_ms": round(ordered[tenth], 4),
            "p90_ms": round(ordered[-1 - tenth], 4),
        }
    return found


def ratio(spent: Mapping[str, Sequence[float]], slow: str, fast: str, digits: int = 2) -> float:
    """How many times faster: the median over inputs of slow / fast, each pair timed side by side."""
    return round(median(a / b for a, b in zip(spent[slow], spent[fast], strict=True)), digits)


def spread(times: Sequence[float], rounds: int) -> float:
    """Noise: how far the medians of `rounds` equal parts of `times` differ, (largest - smallest) / median."""
    part = len(times) // rounds
    medians = [median(times[i * part : (i + 1) * part]) for i in range(rounds)]
    return round((max(medians) - min(medians)) / median(medians), 4)


def machine() -> dict[str, Any]:
    """Processor, its vector instructions and system, without any name that somebody gave them."""
    found = this_machine()
    return {
        "processor": found.processor,
        "features": list(found.features),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def save(part: str, result: Mapping[str, Any], name: str) -> Path:
    """Put `result` under `part` in results/<name>.json, beside the other parts."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    record[part] = {"machine": machine(), **result}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
