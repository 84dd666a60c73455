"""A progress bar on a terminal, nothing on a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from her2edge.text import shown


class _Rate(ProgressColumn):
    """Tiles per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} tiles/s")


class Count:
    """Called with (done, total). shares: called with those of the labels so far, which the bar shows."""

    def __init__(self, bar: Progress | None = None, name: str = "") -> None:
        self._bar, self._name = bar, name
        self._task = None if bar is None else bar.add_task(name, total=None)

    def __call__(self, done: int, total: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def shares(self, shares: Mapping[str, float]) -> None:
        if self._bar is not None and self._task is not None:
            said = ", ".join(f"{label} {100 * share:.0f} %" for label, share in shares.items())
            self._bar.update(self._task, description=f"{self._name} ({said})")


@contextmanager
def counter(of: str | Path, console: Console | None = None) -> Iterator[Count]:
    """A function to call with (done, total): a bar with rate and time left, where stderr is a terminal.

    of: what is counted, or the file whose parts are. The bar begins at the first call, where that says.
    console: instead of the one of stderr.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Count()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Count(progress, shown(click.format_filename(of, shorten=True)))
