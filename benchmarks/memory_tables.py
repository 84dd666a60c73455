"""The table of what `her2edge classify` holds in memory, and the lines below it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from speed import where

from her2edge.tables import markdown

NUMBA = ("Numba", "kernels, kept on disk")


def memory(found: dict[str, Any]) -> Iterator[str]:
    """Resident memory after each step, by model, and what the whole command takes."""
    runs, versions = found["runs"], found["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"{where(found)}; {found['slide']}, one thread; {named}; MB:"
    yield ""
    heads = [f"{run['model']} ({run['flatbuffer_mb']:.1f} MB)" for run in runs]
    columns = ("after", *(f"{head}: {what}" for head in heads for what in ("resident", "its own")))
    rows: list[tuple[str, ...]] = []
    for steps in zip(*(run["steps"] for run in runs), strict=True):
        cells = (f"{one[key]:.0f}" for one in steps for key in ("rss", "own"))
        rows.append((steps[0]["step"], *cells))
    peaks = [run["peak_mb"] for run in runs]
    rows += [
        (f"`classify`, peak, {threads}", *_wide(one[threads[0]] for one in peaks))
        for threads in ("1 thread", "2 threads")
    ]
    limits = [least(run) for run in runs]
    if all(limits):
        rows.append(("smallest memory cgroup that will do", *_wide(limits)))
    yield from markdown(columns, rows)
    yield ""
    for run in runs:
        if run.get("cgroup"):
            yield f"{run['model']} in cgroups of {'; '.join(map(_ended, _by_size(run['cgroup'])))}."
            yield ""
    first, costs = runs[0], numba(found)
    yield (
        f"Numba: {costs['resident']:.0f} MB resident ({costs['own']:.0f} of its own), "
        f"{costs['seconds']:.2f} s of a core at each start, {costs['disk']:.0f} MB installed."
    )
    if "first_start_mb" in found:
        yield ""
        yield (
            f"Where no kernel was kept from before, they are compiled in the same process: {first['model']} "
            f"peaks at {found['first_start_mb']} MB. Kept kernels have {found['kernels_mb']} MB."
        )


def least(run: dict[str, Any]) -> int | None:
    """MB of the smallest limit with which a run ended well; None where none was tried."""
    return min((one["limit_mb"] for one in run.get("cgroup") or () if one["code"] == 0), default=None)


def numba(found: dict[str, Any]) -> dict[str, float]:
    """What Numba takes: of memory and start in the demo model's steps, of the disk with llvmlite."""
    steps = found["runs"][0]["steps"]
    pairs = [(before, one) for before, one in pairwise(steps) if one["step"] in NUMBA]
    return {
        "resident": sum(one["rss"] - before["rss"] for before, one in pairs),
        "own": sum(one["own"] - before["own"] for before, one in pairs),
        "seconds": sum(one["cpu_seconds"] for _, one in pairs),
        "disk": sum(found["disk_mb"].values()),
    }


def _by_size(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(group, key=lambda one: -int(one["limit_mb"]))


def _ended(one: dict[str, Any]) -> str:
    what = f"{one['seconds']:.0f} s" if one["code"] == 0 else "ended by the kernel"
    return f"{one['limit_mb']} MB: {what}"


def _wide(values: Any) -> list[str]:
    """A cell for each model, and an empty one beside it."""
    return [cell for value in values for cell in (str(value), "")]
