"""Monitor: steps under one lock, none of which a signal handler can cut in two, and waiting between them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue
from typing import Literal, Protocol, TypeVar

from her2edge.uninterrupted import Servant

Value = TypeVar("Value")


class Wait(Enum):
    """What a step says that cannot be made yet."""

    WAIT = "wait"


WAIT: Literal[Wait.WAIT] = Wait.WAIT


class Bell(Protocol):
    """Is rung once for each time that it was handed in."""

    def put(self, item: None, /) -> object:
        """Ring."""


class Monitor:
    """lock: held in each step. servant: makes the steps of the main thread, which holds the lock never.

    A step does not block, and its lock may be taken again in it: a finaliser of the caller's may run there.
    """

    def __init__(self, name: str) -> None:
        self.lock, self.servant = threading.RLock(), Servant(name)
        self._waiting: list[Bell] = []

    def do(self, step: Callable[[], Value], bell: Bell | None = None) -> Value:
        """Make a step. Where it says WAIT, the bell is rung after the next change."""
        return self.servant.call(partial(self._locked, step, bell))

    def until(
        self, step: Callable[[], Value], timeout: float | None = None, bell: SimpleQueue[None] | None = None
    ) -> Value:
        """Make a step again and again until it says something other than WAIT, `timeout` seconds at most.

        bell: of the one that waits, for whom somebody else may ring it too; None: one of its own.
        """
        bell = bell or SimpleQueue()
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else min(end - time.monotonic(), threading.TIMEOUT_MAX)
            if left is not None and left <= 0:
                return self.do(partial(self._last, step, bell))
            value = self.do(step, bell)
            if value is not WAIT:
                return value
            with contextlib.suppress(Empty):
                bell.get(timeout=left)

    def notify(self) -> None:
        """In a step: something has changed."""
        bells, self._waiting = self._waiting, []
        for bell in bells:
            with contextlib.suppress(RuntimeError):  # an event loop that is closed
                bell.put(None)

    def _locked(self, step: Callable[[], Value], bell: Bell | None) -> Value:
        with self.lock:
            value = step()
            waits: object = value
            if waits is WAIT and bell is not None:
                self._waiting.append(bell)
            return value

    def _last(self, step: Callable[[], Value], bell: Bell) -> Value:
        """Nobody waits by this bell any more."""
        if bell in self._waiting:
            self._waiting.remove(bell)
        return step()
