"""The loop of `her2edge watch`: each slide once, a failing one a few times, none for ever."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from her2edge.errors import (
    Her2EdgeError,
    InferenceError,
    MissingInputError,
    OptionError,
    OutputError,
    RuntimeUnavailable,
    SlideReadError,
)
from her2edge.results.journal import TakenError
from her2edge.slide import fingerprint_slide
from her2edge.text import shown
from her2edge.watch.attempts import Attempts, SetAside
from her2edge.watch.fingerprints import Duplicates
from her2edge.watch.inbox import Arrival, Inbox
from her2edge_cli import exits

LONGEST_WAIT = 3600.0
# What may be otherwise next time: a share that hung, a file still being copied, memory that ran short.
_MAY_PASS = (SlideReadError, MissingInputError, InferenceError)
# What no slide can help: an extra that is missing, an option out of range. It would be so for all of them.
_NOT_THE_SLIDES = (RuntimeUnavailable, OptionError)
_log = logging.getLogger("her2edge")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Patience:
    """When a slide that failed is tried again.

    retries: how many times after the first failure. wait: seconds until then, twice as long each time, an
        hour at most.
    """

    retries: int = 4
    wait: float = 30.0

    def after(self, attempts: int) -> float:
        """Seconds from the failure of the `attempts`-th try to the next."""
        return min(LONGEST_WAIT, self.wait * 2.0 ** (attempts - 1))


class Watcher(Generic[Done]):
    """Works on what arrives. Several may share `out`, in other processes too: a slide is claimed by one.

    work: does a slide; what it raises is the slide's failure, except an OutputError: that is the disk's, so
        everything waits, nothing is counted, and another slide is tried first then; and RuntimeUnavailable
        and OptionError, which end the round.
    done: told what `work` made. What it raises ends the round, and the slide stays done.
    say: told a line about each failure. set_aside: told of each slide that is not tried again.
    """

    def __init__(
        self,
        inbox: Inbox,
        out: Path,
        work: Callable[[Path], Done],
        done: Callable[[Done], object],
        say: Callable[[str], None],
        set_aside: Callable[[SetAside], object],
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox, self._out, self._work, self._done = inbox, out, work, done
        self._say, self._set_aside = say, set_aside
        self._patience, self._clock = patience, clock
        self._known = Duplicates(inbox.folder, out)
        self._settled: set[Arrival] = set()
        self._aside: dict[Arrival, Path] = {}
        self._due: dict[Arrival, float] = {}
        self._disk_due, self._disk_failures = 0.0, 0
        self._refused: dict[Arrival, int] = {}

    def round(self) -> None:
        """Work on every slide that has arrived and is due.

        Raises MissingInputError or SlideReadError for the folder; RuntimeUnavailable, OptionError."""
        arrived = self._inbox.arrived()
        self._forget(set(arrived))
        try:
            for slide in sorted(arrived, key=lambda one: self._refused.get(one, 0)):
                if self._clock() < self._disk_due:
                    return
                if slide not in self._settled and self._clock() >= self._due.get(slide, 0.0):
                    self._try(slide)
        finally:
            self._known.save(arrived)

    @property
    def waiting(self) -> int:
        """Slides that are still growing, or will be tried again."""
        return len(self._inbox.seen - self._settled)

    def _forget(self, arrived: set[Arrival]) -> None:
        """What went away, and that a slide was set aside, where somebody has removed the record."""
        again = {slide for slide, record in self._aside.items() if not os.path.isfile(record)}  # noqa: PTH113 - as in _attempts
        self._settled = (self._settled & arrived) - again
        self._due = {slide: due for slide, due in self._due.items() if slide in arrived}
        self._refused = {slide: count for slide, count in self._refused.items() if slide in arrived}
        self._aside = {slide: record for slide, record in self._aside.items() if slide in self._settled}

    def _try(self, slide: Arrival) -> None:
        try:
            attempts = self._attempts(slide)
            if attempts is None:
                return
            if attempts.settled:
                self._settle(slide, attempts)
                return
            with attempts.claim() as mine:
                if not mine:
                    self._due[slide] = self._clock() + self._patience.wait  # another's, unless that one dies
                elif attempts.settled:
                    self._settle(slide, attempts)
                else:
                    self._do(slide, attempts)
            self._disk_failures = 0
            self._refused.pop(slide, None)
        except OutputError as error:
            self._disk_failures += 1
            own = self._refused[slide] = self._refused.get(slide, 0) + 1
            # It may be this slide's folder only, another user's say: the others come first next time.
            wait = self._patience.after(self._disk_failures if len(self._refused) > 1 else 1)
            self._disk_due = self._clock() + wait
            self._due[slide] = self._clock() + max(wait, self._patience.after(own))
            self._say(f"{error}; everything waits for {wait:.0f} s, no slide is counted as failed")

    def _attempts(self, slide: Arrival) -> Attempts | None:
        """The slide's record; None where it went away. One that cannot be read is counted by its looks, so
        that it is set aside in the end."""
        name = shown(slide.path.name)
        fingerprint = self._known.fingerprint(slide)
        if fingerprint is not None:
            attempts = Attempts(self._out, name, fingerprint)
            if attempts.settled:
                return attempts
        try:
            return Attempts(self._out, name, fingerprint_slide(slide.path))
        except SlideReadError:
            if not os.path.exists(slide.path):  # noqa: PTH110 - Path.exists() raises where a share is gone
                return None
        looks = f"{str(slide.path)!a} {slide.size} {slide.modified_ns}"
        return Attempts(self._out, name, hashlib.sha256(looks.encode()).hexdigest(), readable=False)

    def _do(self, slide: Arrival, attempts: Attempts) -> None:
        count = attempts.begin()
        if count > self._patience.retries + 1:  # begun so often and never ended: it takes the process with it
            why = f"begun {count - 1} times, and each time the process ended before the slide did"
            self._give_up(slide, attempts, why, exits.BUG, count - 1)
            return
        try:
            done = self._work(slide.path)
        except TakenError as error:  # by `classify`, say, which claims nothing
            attempts.take_back()
            self._later(slide, error, self._patience.wait)
        except (OutputError, *_NOT_THE_SLIDES):
            attempts.take_back()
            raise
        except Her2EdgeError as error:
            if isinstance(error, _MAY_PASS) and count <= self._patience.retries:
                tried = f" ({count} of {self._patience.retries})"
                self._later(slide, error, self._patience.after(count), tried)
            else:
                self._give_up(slide, attempts, str(error), exits.exit_code(error), count)
        except (OSError, MemoryError) as error:  # of the machine, and not foreseen
            _log.exception("%s", shown(slide.path.name))
            if count <= self._patience.retries:
                self._later(slide, error, self._patience.after(count))
            else:
                self._give_up(slide, attempts, f"{type(error).__name__}, see the log", exits.BUG, count)
        except Exception as error:  # noqa: BLE001 - a service goes on with the next slide
            _log.exception("%s: a bug", shown(slide.path.name))
            why = f"a bug: {type(error).__name__}, see the log"
            self._give_up(slide, attempts, why, exits.BUG, count)
        except BaseException:  # interrupted: not the slide's fault
            attempts.take_back()
            raise
        else:
            attempts.end()
            self._settle(slide, attempts)
            self._done(done)

    def _later(self, slide: Arrival, error: Exception, wait: float, tried: str = "") -> None:
        self._due[slide] = self._clock() + wait
        why = str(error) if isinstance(error, Her2EdgeError) else f"{shown(slide.path.name)}: {error!r}"
        self._say(f"{why}; trying again in {wait:.0f} s{tried}")

    def _give_up(self, slide: Arrival, attempts: Attempts, why: str, code: int, count: int) -> None:
        record = SetAside(shown(slide.path.name), attempts.fingerprint, why, code, count)
        attempts.give_up(record)
        self._settle(slide, attempts)
        self._say(f"{record.slide} is set aside: {why}; see failed/{attempts.set_aside.name}")
        self._set_aside(record)

    def _settle(self, slide: Arrival, attempts: Attempts) -> None:
        self._settled.add(slide)
        self._due.pop(slide, None)
        if os.path.isfile(attempts.set_aside):  # noqa: PTH113 - as in _attempts
            self._aside[slide] = attempts.set_aside
        if attempts.readable:
            self._known.add(slide, attempts.fingerprint)
