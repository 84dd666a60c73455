"""What a process under `whole.py` says of itself: that it begins to read tiles, that one is classified."""

from __future__ import annotations

import os
import time

FILE = "HER2EDGE_BENCHMARK_MARKS"  # in the environment: where to
READING, FIRST = "reading", "first"
_said: set[str] = set()


def mark(name: str) -> None:
    """Note the time, once for each name; time.monotonic is one clock for all processes on Linux."""
    if name in _said or FILE not in os.environ:
        return
    _said.add(name)
    with open(os.environ[FILE], "a") as file:  # noqa: PTH123 - pathlib is not loaded for it
        file.write(f"{name} {time.monotonic()}\n")
