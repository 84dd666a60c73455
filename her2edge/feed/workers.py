"""Workers: the threads of a feed. Lanes answer tiles, the teller calls back; none keeps a process alive."""

from __future__ import annotations

import atexit
import functools
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable

from her2edge.errors import FeedError
from her2edge.feed.state import Item, State
from her2edge.feed.ticket import Ticket
from her2edge.text import first_line
from her2edge.tile import Outcome, TileResult
from her2edge.uninterrupted import Background, uninterrupted

_log = logging.getLogger("her2edge")

PATIENCE = 2.0  # seconds that the end of the process waits for tiles in the network, all feeds together

Answer = Callable[[Item], TileResult]
Callback = Callable[[TileResult], object]


class Workers:
    """Threads that work on `state` until it is closed. They know nothing of the feed, so it can be collected.

    answer: called by `state.lanes` threads, each with one tile; on_result: by one thread of its own. The last
    of them to end says how often went wrong what was logged once.

    Raises FeedError where the system gives no more threads.
    """

    def __init__(self, state: State, answer: Answer, on_result: Callback | None) -> None:
        self._state, self._answer, self._on_result = state, answer, on_result
        self._errors: Counter[str] = Counter()
        self._lock = threading.Lock()
        work = functools.partial(self._safely, self._work)
        self._threads = [Background(work, f"her2edge-feed-{lane}") for lane in range(state.lanes)]
        if on_result is not None:
            state.consume()
            state.teller = Background(
                functools.partial(self._safely, self._call_back), "her2edge-feed-teller"
            )
            self._threads.append(state.teller)
        self._left = len(self._threads)
        uninterrupted(self._start)

    def _start(self) -> None:
        _stop_at_exit()
        _WORKERS.add(self)
        try:
            self._state.changed.servant.start()
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self._state.stop()
            self._state.changed.servant.stop()
            raise FeedError(
                f"the system allows no {len(self._threads)} more threads: close other feeds"
            ) from error

    def join(self, timeout: float | None) -> None:
        """Wait for the threads to end."""
        uninterrupted(functools.partial(self._join, timeout))

    def _join(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        for thread in (*self._threads, self._state.changed.servant.thread):
            if not thread.current:
                thread.wait(None if until is None else max(0.0, until - time.monotonic()))

    def stop(self, timeout: float) -> None:
        """End every ticket now, and wait a little for what is in the network."""
        if not self._state.process.left:
            self._state.stop()
            self.join(timeout)

    def _safely(self, loop: Callable[[], None]) -> None:
        """A thread that fails takes the feed with it, never a ticket without an outcome."""
        try:
            loop()
        except BaseException as error:  # noqa: BLE001 - nobody above could do anything
            self._complain("the feed failed, please report it", error)
            self._state.stop(Outcome.FAILED, f"the feed failed: {_described(error)}")
        finally:
            self._one_less()

    def _one_less(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        for kind, count in self._errors.items():
            if count > 1:
                _log.error("%s: %d times in all", kind, count)
        self._state.changed.servant.stop()

    def _work(self) -> None:
        while (begun := self._state.take()) is not None:
            self._state.end(begun[0], self._answered(*begun))
            del begun  # its pixels, while this waits for the next

    def _answered(self, ticket: Ticket, tile: Item) -> TileResult:
        try:
            return self._answer(tile)
        except BaseException as error:  # noqa: BLE001 - costs one tile, not the feed
            self._complain("a tile failed unexpectedly, please report it", error)
            place = ticket.slide, ticket.x, ticket.y, ticket.span
            message = f"unexpected, please report it: {_described(error)}"
            return TileResult(*place, Outcome.FAILED, error=message)

    def _call_back(self) -> None:
        assert self._on_result is not None  # noqa: S101 - for the type checker
        while (result := self._state.next_result()) is not None:
            try:
                self._on_result(result)
            except BaseException as error:  # noqa: BLE001 - the caller's, who has no other way to hear of it
                self._state.callback_failed()
                self._complain("on_result raised", error)

    def _complain(self, what: str, error: BaseException) -> None:
        """Log the first error of a kind with its traceback, and count the others."""
        kind = f"{what}: {type(error).__name__}"
        with self._lock:
            self._errors[kind] += 1
            first = self._errors[kind] == 1
        if first:
            _log.error("%s", kind, exc_info=error)


_WORKERS: weakref.WeakSet[Workers] = weakref.WeakSet()


@functools.cache
def _stop_at_exit() -> None:
    """A daemon thread that comes back from native code into a finalized interpreter may abort the process."""

    def stop_all() -> None:
        until = time.monotonic() + PATIENCE
        for workers in list(_WORKERS):
            workers.stop(max(0.0, until - time.monotonic()))

    atexit.register(stop_all)


def _described(error: BaseException) -> str:
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"
