"""Watcher: the slides of a folder as they arrive: each once, a failing one a few times, none for ever."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from her2edge.attempts import Attempts, Busy, Done, Failed, GivenUp, Tried, give_up, refuse_links, try_once
from her2edge.errors import MissingInputError, NotOursError, OptionError, OutputError, SlideReadError
from her2edge.results import SlideRun
from her2edge.slide import fingerprint_slide
from her2edge.slide.fingerprint import WHOLE
from her2edge.slide.parts import name_of
from her2edge.watch.events import (
    AllWait,
    Event,
    FolderGone,
    Looked,
    SlideDone,
    SlideLater,
    SlideLeftAside,
    SlideSetAside,
)
from her2edge.watch.fingerprints import Known
from her2edge.watch.inbox import Arrival, Inbox
from her2edge.watch.options import DEFAULT, WatchOptions


@dataclass(frozen=True)
class Surroundings:
    """What a watcher takes from the machine: a clock that only goes forward, in seconds; how it waits; what
    says which slide a file is; what keeps the records."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    fingerprint: Callable[[Path], str] = fingerprint_slide
    attempts: type[Attempts] = Attempts


@dataclass
class _Slides:
    """What became of the arrivals that are there, as this process knows it."""

    done: set[Arrival] = field(default_factory=set)
    aside: dict[Arrival, Path] = field(default_factory=dict)
    due: dict[Arrival, float] = field(default_factory=dict)
    refused: dict[Arrival, int] = field(default_factory=dict)

    def forget(self, arrived: set[Arrival]) -> None:
        """What went away, and that a slide was set aside, where somebody has removed the record."""
        again = {slide for slide, record in self.aside.items() if not os.path.isfile(record)}  # noqa: PTH113 - Path.is_file() raises where a share is gone
        self.done = (self.done & arrived) - again
        self.due = {slide: due for slide, due in self.due.items() if slide in arrived}
        self.refused = {slide: count for slide, count in self.refused.items() if slide in arrived}
        self.aside = {slide: record for slide, record in self.aside.items() if slide in self.done}


class Watcher:
    """Works on the slides that arrive in `folder`, and keeps what became of them below `out`.

    Several may share `out`, in other processes too: a slide is claimed by one. `out` may lie in `folder`.

    work: does one slide, e.g. `lambda path: her2edge.classify_slide(path, out, classifier)`, its results in
        `slide_folder(out, ...)`. What it raises is the slide's failure, except an OutputError: that is the
        disk's, so everything waits, nothing is counted, and another slide is tried first then; and
        RuntimeUnavailable and OptionError, which end the round.
    tell: called with each Event, in this thread.
    exit_code: the code that failed/<slide>.json gives for an error; None stands for a slide that takes the
        process with it.

    Raises OptionError where folder and out are one.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        out: str | os.PathLike[str],
        work: Callable[[Path], SlideRun],
        tell: Callable[[Event], object] = lambda _: None,
        options: WatchOptions = DEFAULT,
        *,
        exit_code: Callable[[Exception | None], int | None] = lambda _: None,
        surroundings: Surroundings = Surroundings(),
    ) -> None:
        folder, out = Path(folder), Path(out)
        if folder.resolve() == out.resolve():
            raise OptionError(f"{folder.name} is named for both slides and results: choose another --out")
        self._out, self._work, self._tell, self._options = out, work, tell, options
        self._exit_code, self._around = exit_code, surroundings
        self._inbox = Inbox(folder, options.still_for, out, surroundings.clock)
        self._known = Known(folder, out)
        self._slides = _Slides()
        self._disk_due, self._disk_failures = 0.0, 0

    def run(self, *, once: bool = False) -> None:
        """Look at the folder again and again; once: until every slide that is there is done or set aside.

        A folder that goes away is waited for. Raises MissingInputError or SlideReadError where it is not
        there at the start, or with `once`; OutputError where .watch or failed below `out` is a link at the
        start; RuntimeUnavailable, OptionError, and what `tell` raises.
        """
        refuse_links(self._out)
        looked = missed = False
        while True:
            try:
                self.round()
                looked, missed = True, False
            except (MissingInputError, SlideReadError) as error:
                if once or not looked:
                    raise
                if not missed:
                    self._tell(FolderGone(error))
                missed = True
            self._tell(Looked(self.waiting, self._inbox.unlisted, len(self._inbox.seen)))
            if once and not self.waiting:
                return
            self._around.sleep(self._options.poll)

    def round(self) -> None:
        """Work on every slide that has arrived and is due.

        Raises MissingInputError or SlideReadError for the folder; RuntimeUnavailable, OptionError.
        """
        arrived = self._inbox.arrived()
        self._slides.forget(set(arrived))
        try:
            for slide in sorted(arrived, key=lambda one: self._slides.refused.get(one, 0)):
                now = self._around.clock()
                if now < self._disk_due:
                    return
                if slide not in self._slides.done and now >= self._slides.due.get(slide, 0.0):
                    self._try(slide)
        finally:
            self._known.save(arrived)

    @property
    def waiting(self) -> int:
        """Slides that are still growing, or will be tried again."""
        return len(self._inbox.seen - self._slides.done)

    def _try(self, slide: Arrival) -> None:
        try:
            attempts = self._attempts(slide)
            if attempts is None:
                return
            if attempts.done:
                self._found(slide, attempts)
                return
            try:
                self._claimed(slide, attempts)
            except NotOursError as error:  # this slide's alone, and waiting helps nothing
                given_up = give_up(attempts, str(error), error, max(1, attempts.count), self._exit_code)
                self._came_of(slide, attempts, given_up)
            self._disk_failures = 0
            self._slides.refused.pop(slide, None)
        except OutputError as error:
            self._all_wait(slide, error)

    def _claimed(self, slide: Arrival, attempts: Attempts) -> None:
        """Work on a slide that no other process is at."""
        with attempts.claim() as mine:
            if not mine:
                self._wait(slide, self._options.wait)  # another's, unless that one dies
            elif attempts.done:
                self._found(slide, attempts)
            else:
                self._do(slide, attempts)

    def _all_wait(self, slide: Arrival, error: OutputError) -> None:
        refused, now = self._slides.refused, self._around.clock()
        self._disk_failures += 1
        own = refused[slide] = refused.get(slide, 0) + 1
        # It may be this slide's folder only, another user's say: the others come first next time.
        wait = self._options.after(self._disk_failures if len(refused) > 1 else 1)
        self._disk_due = now + wait
        self._slides.due[slide] = now + max(wait, self._options.after(own))
        self._tell(AllWait(error, wait))

    def _attempts(self, slide: Arrival) -> Attempts | None:
        """The slide's record; None where it went away. One that cannot be read is counted by its looks, so
        that it is set aside in the end."""
        name, records = name_of(slide.path), self._around.attempts
        looks = slide.looks if slide.size > WHOLE else None
        fingerprint = self._known.fingerprint(slide)
        if fingerprint is not None:
            attempts = records(self._out, name, fingerprint)  # of this very file, as it looks now
            if attempts.done:
                return attempts
        try:
            return records(self._out, name, self._around.fingerprint(slide.path), looks=looks)
        except SlideReadError:
            if not os.path.exists(slide.path):  # noqa: PTH110 - Path.exists() raises where a share is gone
                return None
        seen = f"{str(slide.path)!a} {slide.size} {slide.modified_ns}"
        return records(self._out, name, hashlib.sha256(seen.encode()).hexdigest(), readable=False)

    def _do(self, slide: Arrival, attempts: Attempts) -> None:
        retries = self._options.retries
        self._came_of(
            slide, attempts, try_once(attempts, lambda: self._work(slide.path), retries, self._exit_code)
        )

    def _came_of(self, slide: Arrival, attempts: Attempts, tried: Tried) -> None:
        """Tell what came of a try, after the slide is done where it is."""
        match tried:
            case Busy(why):
                self._later(slide, why, self._options.wait)
            case Failed(why, count):
                self._later(slide, why, self._options.after(count), (count, self._options.retries))
            case Done(run):
                self._finish(slide, attempts)
                self._tell(SlideDone(run))
            case GivenUp(record, file):
                self._finish(slide, attempts)
                self._tell(SlideSetAside(record, file))

    def _later(self, slide: Arrival, why: str, wait: float, of: tuple[int, int] | None = None) -> None:
        self._wait(slide, wait)
        self._tell(SlideLater(why, wait, *(of or ())))

    def _wait(self, slide: Arrival, seconds: float) -> None:
        self._slides.due[slide] = self._around.clock() + seconds

    def _found(self, slide: Arrival, attempts: Attempts) -> None:
        """Another process, or an earlier one, has done the slide, or set it aside, which is told."""
        self._finish(slide, attempts)
        if slide in self._slides.aside:
            self._tell(SlideLeftAside(slide.path.name, attempts.set_aside.name))

    def _finish(self, slide: Arrival, attempts: Attempts) -> None:
        """The slide is done, or was set aside, by this process or another."""
        self._slides.done.add(slide)
        self._slides.due.pop(slide, None)
        if os.path.isfile(attempts.set_aside):  # noqa: PTH113 - Path.is_file() raises where a share is gone
            self._slides.aside[slide] = attempts.set_aside
        if attempts.readable:
            self._known.add(slide, attempts.fingerprint)
