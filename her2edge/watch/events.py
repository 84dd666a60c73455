"""What a watcher tells: frozen records, each of one thing that happened."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.attempts import SetAside
from her2edge.errors import Her2EdgeError
from her2edge.results import SlideRun


@dataclass(frozen=True)
class SlideDone:
    """A slide has its results. What the listener raises here ends the round; the slide stays done."""

    run: SlideRun


@dataclass(frozen=True)
class SlideLater:
    """A slide failed and is tried again in `wait` seconds. reason: one line that names the slide.

    attempt, retries: this try's number, from 1, and how many follow the first; None where it does not count.
    """

    reason: str
    wait: float
    attempt: int | None = None
    retries: int | None = None


@dataclass(frozen=True)
class SlideSetAside:
    """A slide is not tried again. file: the name of its record in failed/, which may be removed."""

    record: SetAside
    file: str


@dataclass(frozen=True)
class SlideLeftAside:
    """A slide was set aside before, by another process or an earlier one: it is not tried. Told once.

    slide: its file's name. file: as in SlideSetAside.
    """

    slide: str
    file: str


@dataclass(frozen=True)
class AllWait:
    """Nothing can be written: every slide waits for `wait` seconds, none is counted as failed."""

    error: Her2EdgeError
    wait: float


@dataclass(frozen=True)
class FolderGone:
    """The watched folder cannot be looked at any more; it is waited for. Told once."""

    error: Her2EdgeError


@dataclass(frozen=True)
class Looked:
    """The end of a round. waiting: slides that are still growing, or will be tried again; unlisted: folders
    and files that could not be looked at, so that there may be more; slides: all that are in the folder."""

    waiting: int
    unlisted: int = 0
    slides: int = 0


Event = SlideDone | SlideLater | SlideSetAside | SlideLeftAside | AllWait | FolderGone | Looked
