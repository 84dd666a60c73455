"""What a watcher tells: frozen records, each of one thing that happened."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.errors import Her2EdgeError
from her2edge.results import SlideRun
from her2edge.tile import RESEARCH_USE


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
class SetAside:
    """Why a slide is not tried again, as failed/<slide>.json keeps it.

    exit_code: what `her2edge classify` would have ended with; None where nobody gave the codes.
    looks: as in Evidence, where the fingerprint may be of a sample: written again, the slide is tried again.
    """

    slide: str
    fingerprint: str
    reason: str
    exit_code: int | None
    attempts: int
    notice: str = RESEARCH_USE
    looks: str | None = None


@dataclass(frozen=True)
class SlideSetAside:
    """A slide is not tried again. file: the name of its record in failed/, which may be removed."""

    record: SetAside
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
    and files that could not be looked at, so that there may be more."""

    waiting: int
    unlisted: int = 0


Event = SlideDone | SlideLater | SlideSetAside | AllWait | FolderGone | Looked
