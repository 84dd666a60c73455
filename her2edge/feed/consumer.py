"""Results: what a feed answers, for who prefers to fetch it: `for` and `async for`."""

from __future__ import annotations

import asyncio

from her2edge.feed.state import State
from her2edge.tile import TileResult


class Results:
    """An iterator over a feed's results, synchronous and asynchronous; ends when the feed is closed.

    Results of answered tiles come in the order in which the tiles were submitted, those of tiles that were
    dropped or cancelled as soon as that is known. Each comes once, to one of those who ask.
    """

    def __init__(self, state: State) -> None:
        state.consume()
        self._state = state

    def close(self) -> None:
        """Want no more: results are no longer kept, and nobody waits for this consumer."""
        self._state.abandon()

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> TileResult:
        if (result := self._state.next_result()) is None:
            raise StopIteration
        return result

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> TileResult:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        self._state.wakers.append(wake)
        try:
            while (result := self._state.next_result(wait=False)) is None:
                if self._state.over:
                    raise StopAsyncIteration
                await changed.wait()
                changed.clear()
            return result
        finally:
            self._state.wakers.remove(wake)
