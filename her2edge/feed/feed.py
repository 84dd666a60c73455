"""TileFeed: scanner software pushes tiles; each ends in exactly one outcome, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from her2edge.feed.consumer import Results
from her2edge.feed.ledger import Ledger
from her2edge.feed.options import check_seconds
from her2edge.feed.state import State
from her2edge.feed.ticket import Ticket
from her2edge.feed.workers import Answer, Callback, Workers
from her2edge.prepare import CheckedTile
from her2edge.processes import OneProcess
from her2edge.tile import Pixels, Tile, UnreadableTile

GRACE = 2.0  # seconds that leaving by an exception waits for tiles in the network and for on_result


class TileFeed(OneProcess):
    """Takes tiles as they appear and says what became of each; made by `TileClassifier.feed`.

        with classifier.feed(on_result=show, capacity=64, policy="block") as feed:
            for tile in scanner:
                ticket = feed.submit(tile)  # from any thread
            feed.ledger                     # where all tiles are, at this instant
        ticket.outcome                      # once the feed is closed, every ticket has one

    Order. Tiles are begun in the order submitted, on as many interpreters as the classifier has, and each
    at once if one is free: the last tile of a row does not wait for the next row. The consumer gets the
    results of answered tiles in that order too, the numbers being those of `classify` and `stream`;
    results of tiles that were dropped or cancelled come as soon as that is known. A ticket has its result
    without waiting for other tiles.

    Consumer. At most one: `on_result`, called in a thread of its own, or `results()`, or none: tickets only.
    What `on_result` raises is logged once per type, counted, and ends nothing. In an event loop: `async
    with`, `async for`, and `await asyncio.to_thread(feed.submit, tile)`, as "block" may wait.

    Memory is bounded. At most `capacity` tiles wait for the network. No tile is begun while `capacity`
    results wait for the consumer; so if the consumer is the slower one for ever, waiting tiles fill up and
    the policy decides: "block" makes `submit` wait and drops nothing (a tile later than its `max_wait`
    apart), "drop_oldest" and "reject" never wait, drop tiles and count them.
    Results of tiles that never began are kept for it up to `capacity`, then only counted
    (`Ledger.untold`).

    Duplicates. A tile is known by slide, span, x and y. Submitted again while it waits or runs, or while it
    is one of the last `remember` that were answered, it gets the same ticket, is not run again, and counts
    only in `Ledger.duplicates`; its pixels are not looked at. One that failed, was dropped or cancelled may
    be tried again, as a new ticket. Bare arrays, and tiles with neither slide nor place (x = y = 0 and no
    span), are never duplicates. A slide that is scanned again is forgotten first: `forget(slide)`.

    Threads. May be used from several, but not in a forked process (FeedError) or by pickle (OneProcessError).
    An open feed keeps no process alive and ends with it, its waiting tiles cancelled; one that nobody refers
    to finishes them and ends.

    Signals. A handler that raises in the middle of a call, as Ctrl-C does, breaks nothing: a `submit` was
    made or was not, and submitting the same tile again gives its ticket; another `close` finishes the first.
    """

    def __init__(
        self,
        state: State,
        answer: Answer,
        admit: Callable[[Tile | UnreadableTile | Pixels], CheckedTile | UnreadableTile],
        on_result: Callback | None = None,
    ) -> None:
        """admit: checks a tile, once, where it is submitted; answer: of what was admitted, on each lane."""
        self.options = state.options
        self._admit = admit
        self._state = state
        self._state.close_with(self)
        self._workers = Workers(self._state, answer, on_result)

    def submit(
        self,
        tile: Tile | UnreadableTile | Pixels,
        *,
        timeout: float | None = None,
        max_wait: float | None = None,
        copy: bool = True,
    ) -> Ticket:
        """Hand in a tile, as `TileClassifier.stream` takes it; returns its ticket.

        A tile that cannot be used is no error here: its ticket ends as `failed`, in its turn.

        timeout:  seconds to wait for room with the policy "block"; None: as long as it takes.
        max_wait: seconds from now until the network begins it, else it ends as `dropped` when its turn
            comes; None: that of the feed.
        copy: True: of the pixels, so that a scanner may fill its buffer again. False: the feed reads the
            array itself, which must not change until the ticket has ended; saves a fraction of a ms.

        Raises FeedTimeout where no room came in time, the tile not being counted then; FeedError where the
        feed is closed, or where `on_result` submits and would have to wait for room; OptionError.
        """
        check_seconds("timeout", timeout)
        check_seconds("max_wait", max_wait)
        max_wait = self.options.max_wait if max_wait is None else max_wait
        due = None if max_wait is None else self._state.clock() + max_wait
        own = self._own(tile, copy)
        return self._state.accept(Ticket(self._state, own, due), own, timeout)

    def results(self) -> Results:
        """The feed's results for `for` or `async for`; to be called before the first tile is submitted.

        `for result in feed` is the same. Fetch in another thread or task than the one that submits: with
        the policy "block" the two wait for each other. Results that are left when the feed is closed can
        still be fetched. As soon as nobody refers to the iterator, results are kept no longer.

        Raises FeedError where the feed has a consumer, or tiles were submitted before.
        """
        return Results(self._state)

    def __iter__(self) -> Results:
        return self.results()

    def __aiter__(self) -> Results:
        return self.results()

    @property
    def ledger(self) -> Ledger:
        """All counts at one instant."""
        return self._state.ledger()

    def forget(self, slide: str) -> int:
        """Forget the answered tiles of a slide, so that they may be submitted anew; how many were known."""
        return self._state.forget(slide)

    def cancel(self) -> int:
        """End all tiles that wait as `cancelled`; how many. Those the network has begun are finished."""
        return self._state.cancel_all()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until no tile waits or runs and `on_result` has returned for each; whether so in `timeout` s.

        Who fetches `results()` goes on fetching meanwhile. Raises FeedError in `on_result`, and OptionError.
        """
        check_seconds("timeout", timeout)
        return self._state.wait_until_idle(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Take no more tiles, drain, end the threads; whether all was done within `timeout` seconds.

        After that every ticket has ended: of what was not done, tiles that wait are `cancelled`, tiles in
        the network `failed`, and `on_result` is not called again. May be called again, by anybody but
        `on_result` (FeedError); in a forked process it does nothing. Raises OptionError.
        """
        check_seconds("timeout", timeout)
        if self._state.process.left:
            return True
        self._state.check_thread("close the feed")
        self._state.begin_close()
        try:
            self._state.wait_until_idle(timeout)
        finally:
            self._state.stop()
            self._workers.join(0.0 if self._state.cut_short else None)
        return not self._state.cut_short

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain and close; by an exception: cancel what waits, and close within two seconds."""
        if self._state.process.left:
            return
        if kind is None:
            self.close()
        else:
            self.cancel()
            self.close(GRACE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def _own(self, tile: Tile | UnreadableTile | Pixels, copy: bool) -> CheckedTile | UnreadableTile:
        """The tile with pixels that nobody else changes; without any where they do not fit the model."""
        own = self._admit(tile)
        if not copy or isinstance(own, UnreadableTile):
            return own
        theirs = tile.pixels if isinstance(tile, Tile) else tile
        if np.may_share_memory(own.pixels, theirs):
            own = CheckedTile(replace(own, pixels=own.pixels.copy()))
        return own
