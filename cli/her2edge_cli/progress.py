"""A progress bar on a terminal, nothing on a pipe."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

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

T = TypeVar("T")


class _Rate(ProgressColumn):
    """Tiles per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} tiles/s")


@contextmanager
def counter(total: int, title: str, done: int = 0) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (done, total): a bar with rate and time left, where stderr is a terminal.

    done: where the bar begins.
    """
    console = Console(stderr=True)
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
        task = progress.add_task(title, total=total, completed=done)
        yield lambda done, _total: progress.update(task, completed=done)


def track(items: Iterable[T], total: int, title: str, before: int = 0) -> Generator[T, None, None]:
    """Pass items through and count them; before: those that are done already."""
    with counter(total, title, before) as advance:
        for done, item in enumerate(items, start=before + 1):
            yield item
            advance(done, total)
