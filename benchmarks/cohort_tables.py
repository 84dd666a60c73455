"""The tables of cohorts, from what cohort.py kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speed import where

from her2edge.tables import markdown


def assigned(found: dict[str, Any]) -> Iterator[str]:
    """How even shards are, and the hours that the fullest takes."""
    slides, shards, seconds = found["slides"], found["shards"], found["seconds"]
    each = f"; {found['seconds_of_a_slide']:g} s a slide" if found["seconds_of_a_slide"] else ""
    yield (
        f"{where(found)}; {slides:,} slides to {shards:,} shards in {seconds:.2f} s, wanted below "
        f"{found['wanted_seconds']:g} s{each}:"
    )
    yield ""
    columns, *rows = found["table"]
    yield from markdown(columns, rows)


def walls(found: dict[str, Any]) -> Iterator[str]:
    """Shards and the engine beside one process."""
    what = f"{found['slides']} slides of {found['tiles']} tiles"
    yield f"{where(found)}; {what}, one thread a process, medians:"
    yield ""
    yield from markdown(("", "seconds"), found["seconds"].items())
    yield ""
    yield (
        f"Two shards are {found['two_shards_faster_than_one_core']:.2f} times as fast as one process on "
        f"one core, wanted {found['wanted']:g}, and {found['two_shards_faster']:.2f} times as "
        "fast as one process that reads on a second core."
    )


def engine(found: dict[str, Any]) -> Iterator[str]:
    """What is the command's own, and not the slides'."""
    yield f"{where(found)}; {found['slides']} slides that are done already:"
    yield ""
    rows = []
    for name in ("local", "dask"):
        each = found[f"{name}_ms_of_a_slide"]
        rows.append(
            (name, f"{found[f'{name}_start_seconds']:.1f}", f"{each:.1f}" if each >= 1 else "below 1")
        )
    yield from markdown(("engine", "start, s", "ms of a slide"), rows)
