"""One try of a slide that this process has claimed: counted on the disk first, then what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from her2edge.attempts.aside import SetAside
from her2edge.attempts.records import Attempts
from her2edge.errors import (
    Her2EdgeError,
    InferenceError,
    MissingInputError,
    OptionError,
    OutputError,
    RuntimeUnavailable,
    SlideReadError,
    TakenError,
)
from her2edge.results import SlideRun

# What may be otherwise next time: a share that hung, a file still being copied, memory that ran short.
_MAY_PASS = (SlideReadError, MissingInputError, InferenceError)
# What no slide can help: an extra that is missing, an option out of range. It would be so for all of them.
_NOT_THE_SLIDES = (RuntimeUnavailable, OptionError)
_log = logging.getLogger("her2edge")

ExitCode = Callable[[Exception | None], int | None]


@dataclass(frozen=True)
class Done:
    """The slide has its results."""

    run: SlideRun


@dataclass(frozen=True)
class Failed:
    """It may be otherwise next time. reason: one line that names the slide. count: of its tries so far."""

    reason: str
    count: int
    error: Exception


@dataclass(frozen=True)
class Busy:
    """Another process, which claims nothing, is at work on it: the try does not count."""

    reason: str


@dataclass(frozen=True)
class GivenUp:
    """It is not tried again. file: the name of its record in failed/, which may be removed."""

    record: SetAside
    file: str


Tried = Done | Failed | Busy | GivenUp


def try_once(attempts: Attempts, work: Callable[[], SlideRun], retries: int, exit_code: ExitCode) -> Tried:
    """Count the try, then work. One that takes the process with it stays counted.

    retries: how many times a slide is tried again after the first. exit_code: as `Watcher` has it.

    Raises what is not the slide's fault, which then does not count: OutputError, RuntimeUnavailable,
    OptionError, an interruption.
    """
    count = attempts.begin()
    if count > retries + 1:  # begun so often and never ended: it takes the process with it
        why = f"started {count - 1} times; each time the process ended before the slide was finished"
        return give_up(attempts, why, None, count - 1, exit_code)
    try:
        run = work()
    except TakenError as error:  # by `classify`, say
        attempts.take_back()
        return Busy(str(error))
    except (OutputError, *_NOT_THE_SLIDES):
        attempts.take_back()
        raise
    except Exception as error:  # noqa: BLE001 - who has many slides goes on with the next one
        return _failed(attempts, error, count, retries, exit_code)
    except BaseException:  # interrupted: not the slide's fault
        attempts.take_back()
        raise
    attempts.end()
    return Done(run)


def give_up(
    attempts: Attempts, why: str, error: Exception | None, count: int, exit_code: ExitCode
) -> GivenUp:
    """Set the slide aside, and say so. Raises OutputError, and then the last try does not count."""
    code = exit_code(error)
    record = SetAside(attempts.name, attempts.fingerprint, why, code, count, looks=attempts.looks)
    attempts.give_up(record)
    return GivenUp(record, attempts.set_aside.name)


def _failed(
    attempts: Attempts, error: Exception, count: int, retries: int, exit_code: ExitCode
) -> Failed | GivenUp:
    name = attempts.name
    if isinstance(error, Her2EdgeError):
        why = last = str(error)
        again = isinstance(error, _MAY_PASS)
    elif isinstance(error, (OSError, MemoryError)):  # of the machine, and not foreseen
        _log.error("%s", name, exc_info=error)
        why, last = f"{name}: {error!r}", f"{type(error).__name__}, see the log"
        again = True
    else:
        _log.error("%s: a bug", name, exc_info=error)
        why = last = f"a bug: {type(error).__name__}, see the log"
        again = False
    if again and count <= retries:
        attempts.failed(why)
        return Failed(why, count, error)
    return give_up(attempts, last, error, count, exit_code)
