"""A progress bar on a terminal, nothing on a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@contextmanager
def counter(of: str | Path, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (done, total): a bar with rate and time left, where stderr is a terminal.

    of: what is counted, or the file whose parts are. The bar begins at the first call, where that says.
    console: instead of the one of stderr.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(shown(click.format_filename(of, shorten=True)), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
