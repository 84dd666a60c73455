"""The loop of `her2edge watch`: each slide once, a failing one a few times, none for ever."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import Her2EdgeError, InferenceError, MissingInputError, OutputError, SlideReadError
from her2edge.slide import fingerprint_slide, shown
from her2edge_cli import exits
from her2edge_cli.attempts import Attempts, SetAside
from her2edge_cli.inbox import Arrival, Inbox

LONGEST_WAIT = 3600.0
# What may be otherwise next time: a share that hung, a file still being copied, memory that ran short.
_MAY_PASS = (SlideReadError, MissingInputError, InferenceError)
_log = logging.getLogger("her2edge")


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


class Watcher:
    """Works on what arrives. Several may share `out`, in other processes too: a slide is claimed by one.

    work: does a slide; what it raises is the slide's failure, except an OutputError: that is the disk's, so
        everything waits and nothing is counted.
    say: told a line about each failure. set_aside: told of each slide that is not tried again.
    """

    def __init__(
        self,
        inbox: Inbox,
        out: Path,
        work: Callable[[Path], object],
        say: Callable[[str], None],
        set_aside: Callable[[SetAside], object],
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox, self._out, self._work = inbox, out, work
        self._say, self._set_aside = say, set_aside
        self._patience, self._clock = patience, clock
        self._settled: set[Arrival] = set()
        self._due: dict[Arrival, float] = {}
        self._disk_due, self._disk_failures = 0.0, 0

    def round(self) -> None:
        """Work on every slide that has arrived and is due. Raises MissingInputError for the folder."""
        arrived = self._inbox.arrived()
        self._settled &= set(arrived)
        self._due = {slide: due for slide, due in self._due.items() if slide in set(arrived)}
        for slide in arrived:
            if self._clock() < self._disk_due:
                return
            if slide not in self._settled and self._clock() >= self._due.get(slide, 0.0):
                self._try(slide)

    @property
    def waiting(self) -> int:
        """Slides that are still growing, or will be tried again."""
        return len(self._inbox.seen - self._settled)

    def _try(self, slide: Arrival) -> None:
        try:
            fingerprint = fingerprint_slide(slide.path)
        except SlideReadError as error:
            self._say(f"{error}; trying again later")
            self._due[slide] = self._clock() + self._patience.wait
            return
        attempts = Attempts(self._out, shown(slide.path.name), fingerprint)
        try:
            if attempts.settled:
                self._settle(slide)
                return
            with attempts.claim() as mine:
                if not mine:
                    self._due[slide] = self._clock() + self._patience.wait  # another's, unless that one dies
                elif attempts.settled:
                    self._settle(slide)
                else:
                    self._do(slide, fingerprint, attempts)
            self._disk_failures = 0
        except OutputError as error:
            self._disk_failures += 1
            wait = self._patience.after(self._disk_failures)
            self._disk_due = self._clock() + wait
            self._say(f"{error}; everything waits for {wait:.0f} s, no slide is counted as failed")

    def _do(self, slide: Arrival, fingerprint: str, attempts: Attempts) -> None:
        count = attempts.begin()
        if count > self._patience.retries + 1:  # begun so often and never ended: it takes the process with it
            why = f"begun {count - 1} times, and each time the process ended before the slide did"
            self._give_up(slide, fingerprint, attempts, why, exits.BUG, count - 1)
            return
        try:
            self._work(slide.path)
        except OutputError:
            attempts.take_back()
            raise
        except Her2EdgeError as error:
            if isinstance(error, _MAY_PASS) and count <= self._patience.retries:
                wait = self._patience.after(count)
                self._due[slide] = self._clock() + wait
                self._say(f"{error}; trying again in {wait:.0f} s ({count} of {self._patience.retries})")
                return
            self._give_up(slide, fingerprint, attempts, str(error), exits.exit_code(error), count)
        except Exception as error:  # noqa: BLE001 - a service goes on with the next slide
            _log.exception("%s: a bug", shown(slide.path.name))
            why = f"a bug: {type(error).__name__}, see the log"
            self._give_up(slide, fingerprint, attempts, why, exits.BUG, count)
        except BaseException:  # interrupted: not the slide's fault
            with contextlib.suppress(OutputError):
                attempts.take_back()
            raise
        else:
            attempts.end()
            self._settle(slide)

    def _give_up(
        self, slide: Arrival, fingerprint: str, attempts: Attempts, why: str, code: int, count: int
    ) -> None:
        record = SetAside(shown(slide.path.name), fingerprint, why, code, count)
        attempts.give_up(record)
        self._settle(slide)
        self._say(f"{record.slide} is set aside: {why}; see failed/{attempts.set_aside.name}")
        self._set_aside(record)

    def _settle(self, slide: Arrival) -> None:
        self._settled.add(slide)
        self._due.pop(slide, None)
