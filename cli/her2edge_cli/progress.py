"""A progress bar on a terminal, nothing on a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from her2edge.text import percent, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Turns:
    """Which slide of how many is worked on, and how long all of them will take.

    Slides that are skipped say nothing of the others, so the time left is that of slides of which tiles were
    read here. clock: seconds, monotonic.
    """

    def __init__(self, slides: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self.slides, self.number = slides, 0
        self._clock = clock
        self._worked: list[
            float
        ] = []  # seconds that each whole slide took, or would have from its first tile
        self._first: tuple[int, float] | None = None
        self._whole: float | None = None

    def begin(self) -> None:
        """The next slide's turn."""
        if self._whole is not None:
            self._worked.append(self._whole)
        self.number += 1
        self._first = self._whole = None

    def advance(self, done: int, total: int) -> float | None:
        """Tiles done of this slide; about how many seconds are left for all, None where nobody knows."""
        now = self._clock()
        if self._first is None:
            self._first = (done, now)
        read = done - self._first[0]
        if not read:
            return self.left
        each = (now - self._first[1]) / read
        self._whole = each * total
        return each * (total - done) + (self.slides - self.number) * self._mean(self._whole)

    @property
    def left(self) -> float | None:
        """About how many seconds from the beginning of this slide on, None where nobody knows."""
        if not self._worked:
            return None
        return (self.slides - self.number + 1) * self._mean()

    def _mean(self, *more: float) -> float:
        times = [*self._worked, *more]
        return sum(times) / len(times)

    def __str__(self) -> str:
        return f"slide {self.number} of {self.slides}"


_SHORT = "less than a minute"


def duration(seconds: float) -> str:
    """As people say it: 3 h 20 min, 12 min, less than a minute."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes else _SHORT


def left_for_all(seconds: float | None) -> str:
    """The time left in words, with a comma before; empty where nobody knows."""
    if seconds is None:
        return ""
    words = duration(seconds)
    return f", {'' if words == _SHORT else 'about '}{words} left for all"


class Count:
    """Called with (done, total). shares: called with those of the labels so far, which the bar shows."""

    def __init__(self, turns: Turns, bar: Progress | None = None, name: str = "") -> None:
        self._turns, self._bar, self._name, self._shares = turns, bar, name, ""
        self._task = None if bar is None else bar.add_task(name, total=None)

    def __call__(self, done: int, total: int) -> None:
        left = left_for_all(self._turns.advance(done, total))
        if self._bar is not None and self._task is not None:
            turn = f" ({self._turns}{left})" if self._turns.slides > 1 else ""
            text = f"{self._name}{turn}{self._shares}"
            self._bar.update(self._task, completed=done, total=total, description=text)

    def shares(self, shares: Mapping[str, float]) -> None:
        words = ", ".join(f"{label} {percent(share)}" for label, share in shares.items())
        self._shares = f" ({words})" if any(shares.values()) else ""  # no tile votes yet


@contextmanager
def counter(
    of: str | Path, console: Console | None = None, turns: Turns | None = None, *, bar: bool = True
) -> Iterator[Count]:
    """A function to call with (done, total): a bar with rate and time left, where stderr is a terminal.

    of: what is counted, or the file whose parts are. The bar begins at the first call, where that says.
    console: instead of the one of stderr. turns: where this is one of several slides. bar: False: none, on a
    terminal either.
    """
    turns = turns or Turns()
    terminal = sys.stderr.isatty() if console is None else console.is_terminal
    if not (bar and terminal):
        yield Count(turns)
        return
    from her2edge_cli.bar import new_bar

    with new_bar(console) as progress:
        yield Count(turns, progress, shown(click.format_filename(of, shorten=True)))
