"""Results: what a feed answers, for who prefers to fetch it: `for` and `async for`."""

from __future__ import annotations

from collections import deque

from her2edge.feed.monitor import WAIT
from her2edge.feed.state import State
from her2edge.processes import OneProcess
from her2edge.tile import TileResult
from her2edge.uninterrupted import interruptible


class Results(OneProcess):
    """An iterator over a feed's results, synchronous and asynchronous; ends when the feed is closed.

    Results of answered tiles come in the order in which the tiles were submitted, those of tiles that were
    dropped or cancelled as soon as that is known. Each comes once, to one of those who ask.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        # What the main thread was given; who is interrupted before having it finds it the next time.
        self._tray: deque[TileResult] = deque()
        try:
            state.consume(self)
        except BaseException:
            state.unconsume(self)
            raise

    def close(self) -> None:
        """Want no more: results are no longer kept, and nobody waits for this consumer."""
        self._state.abandon()

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> TileResult:
        if not interruptible():
            if (result := self._state.next_result()) is None:
                raise StopIteration
            return result
        if not self._tray and self._state.next_result(tray=self._tray) is None:
            raise StopIteration
        result = self._tray[0]
        del self._tray[0]  # no handler runs between this and the return
        return result

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> TileResult:
        if not self._tray:
            changed = _LoopBell()
            while (result := self._state.result_or_bell(self._tray, changed)) is WAIT:
                await changed.rung()
            if result is None:
                raise StopAsyncIteration
        result = self._tray[0]
        del self._tray[0]
        return result


class _LoopBell:
    """A bell for a task of the event loop that runs."""

    def __init__(self) -> None:
        import asyncio  # who awaits has it; nobody else waits for its import

        self._loop, self._rung = asyncio.get_running_loop(), asyncio.Event()

    def put(self, _: None, /) -> None:
        self._loop.call_soon_threadsafe(self._rung.set)

    async def rung(self) -> None:
        await self._rung.wait()
        self._rung.clear()
