"""Interrupts in the main thread: at a chosen bytecode of the library, or at random moments."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import her2edge

HOUSE = str(Path(her2edge.__file__).parent)


class Interrupt(KeyboardInterrupt):
    """As a signal handler raises it."""


def interrupted_at(number: int, call: Callable[[], object]) -> str | None:
    """Make the call, interrupted before the n-th bytecode that it runs of the library, in this thread.

    Returns the place, "feed/feed.py:12"; None where the call made fewer steps and ended as usual.
    """
    left, places = [number], []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(HOUSE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                sys.settrace(None)
                places.append(f"{name[len(HOUSE) + 1 :]}:{frame.f_lineno}")
                raise Interrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupt:
        assert places
    finally:
        sys.settrace(former)
    return places[0] if places else None


def interrupted_soon(call: Callable[[], object], moment: random.Random, longest: float = 0.01) -> bool:
    """Make the call until an alarm at a random moment interrupts it; whether it did, within the call."""

    def raises(_: int, __: FrameType | None) -> None:
        raise Interrupt

    former = signal.signal(signal.SIGALRM, raises)
    try:
        # Once more after a second: Python drops what is raised in a callback from C, of a weak reference say.
        signal.setitimer(signal.ITIMER_REAL, moment.uniform(0.0003, longest), 1.0)
        while True:
            call()
    except Interrupt:
        return True
    finally:
        with contextlib.suppress(Interrupt):
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def threads() -> list[str]:
    """Names of all threads that Python started.

    A dummy stands for a thread of a C library that once called Python: it vanishes when that library likes.
    """
    return sorted(one.name for one in threading.enumerate() if not isinstance(one, threading._DummyThread))


def settled(before: list[str], seconds: float = 10.0) -> bool:
    """Whether no thread is there that was not before, `seconds` from now at the latest.

    Threads of other tests may end meanwhile.
    """
    until = time.monotonic() + seconds
    while Counter(threads()) - Counter(before):
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True
