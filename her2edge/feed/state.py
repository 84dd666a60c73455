"""State: all that a feed knows of its tiles, under one lock. It has no thread of its own; all others call in.

A ticket waits, runs and ends; its result then goes to the outbox. While that is full no tile is begun, so a
slow consumer fills the waiting tiles, and the policy decides. Closing lets the tiles that wait pass: they are
`capacity` at most, and no more can follow.

Everything that changes is changed by a step of the monitor: a step that an interrupted caller asked for is
made as a whole or not at all.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Literal

from her2edge.errors import FeedError, FeedTimeout
from her2edge.feed.duplicates import Duplicates
from her2edge.feed.ledger import Ledger
from her2edge.feed.monitor import WAIT, Bell, Monitor, Value, Wait
from her2edge.feed.options import BLOCK, REJECT, FeedOptions
from her2edge.feed.outbox import Outbox
from her2edge.feed.ticket import Ticket
from her2edge.prepare import CheckedTile
from her2edge.processes import Birthplace
from her2edge.tile import Outcome, TileResult, UnreadableTile
from her2edge.uninterrupted import Background

LATE = "the tile waited longer than max_wait for the network"
NO_ROOM = "the feed was full: {waiting} tiles waited, and its policy is {policy}"
CANCELLED = "cancelled before it began"
CUT_SHORT = "the feed was closed before the tile was answered"

Clock = Callable[[], float]
Item = CheckedTile | UnreadableTile
Waiting = Literal[Wait.WAIT]


class State:
    """The state of one feed. Every public method takes the lock by itself.

    changed: the monitor; says whenever something has changed. process: the feed's own.
    teller: the thread that runs the callback, which must not wait for itself.
    """

    def __init__(self, options: FeedOptions, lanes: int, clock: Clock = time.monotonic) -> None:
        self.options, self.lanes, self.clock = options, lanes, clock
        self.changed = Monitor("her2edge-feed-door")
        self.process = Birthplace("feed", FeedError)
        self.teller: Background | None = None
        self._owner: weakref.ref[object] | None = None
        self._consumer: weakref.ref[object] | None = None
        self._lanes_bell: SimpleQueue[None] = SimpleQueue()
        self._tickets = Duplicates(options.remember)
        self._waiting: OrderedDict[Ticket, Item] = OrderedDict()  # the longest first
        self._running: set[Ticket] = set()
        self._out = Outbox(options.capacity, lanes)
        self._outcomes: Counter[Outcome] = Counter()
        self._submitted = self._late = self._duplicates = 0
        self._callback_errors = 0
        self._calling_back = self._closing = self._stopped = False
        self.cut_short = False  # whether the feed was stopped before all was done

    def close_with(self, owner: object) -> None:
        """Begin to close when nobody refers to `owner` any more: a lane is rung for, by a call of C."""
        self._owner = weakref.ref(owner, self._lanes_bell.put)  # type: ignore[arg-type]

    # Those who submit

    def accept(self, ticket: Ticket, tile: Item, timeout: float | None) -> Ticket:
        """The ticket, or that of the same tile if it is known; raises FeedError, FeedTimeout."""
        self.process.check()
        accepted = self.changed.until(partial(self._accept, ticket, tile), timeout)
        if accepted is WAIT:
            raise FeedTimeout(
                f"the feed stayed full for {timeout} s, {len(self._waiting)} tiles wait: wait "
                'longer, or choose the policy "drop_oldest" or "reject"'
            )
        return accepted

    def _accept(self, ticket: Ticket, tile: Item) -> Ticket | Waiting:
        if self._closing:
            raise FeedError("the feed is closed: open a new one")
        if (earlier := self._tickets.find(ticket)) is not None:
            self._duplicates += 1
            return earlier
        if not self._room():
            if self.options.policy == BLOCK:
                self.check_thread("wait for room in the feed")
                return WAIT
            dropped = ticket if self.options.policy == REJECT else self._oldest()[0]
            self._end_unrun(dropped, Outcome.DROPPED, self._no_room())
        self._submitted += 1
        ticket.number = self._submitted
        if not ticket.done:
            self._tickets.add(ticket)
            self._waiting[ticket] = tile
        self.changed.notify()
        return ticket

    def cancel_one(self, ticket: Ticket) -> bool:
        """End a waiting ticket as cancelled; whether it was waiting."""
        return self._do(partial(self._cancel_one, ticket))

    def _cancel_one(self, ticket: Ticket) -> bool:
        if self._waiting.pop(ticket, None) is None:
            return False
        self._end_unrun(ticket, Outcome.CANCELLED, CANCELLED)
        return True

    def cancel_all(self) -> int:
        """End all waiting tickets as cancelled; how many."""
        return self._do(self._cancel_all)

    def _cancel_all(self) -> int:
        count = len(self._waiting)
        while self._waiting:
            self._end_unrun(self._oldest()[0], Outcome.CANCELLED, CANCELLED)
        return count

    def forget(self, slide: str) -> int:
        """As `Duplicates.forget`."""
        return self._do(partial(self._tickets.forget, slide))

    # Lanes

    def take(self) -> tuple[Ticket, Item] | None:
        """The next ticket to answer and its tile, as soon as there is one; None: there will be none."""
        begun = self.changed.until(self._take, bell=self._lanes_bell)
        return None if begun is WAIT else begun

    def _take(self) -> tuple[Ticket, Item] | Waiting | None:
        if self._owner is not None and self._owner() is None:
            self._begin_close()
        self._look_for_consumer()
        if self._stopped:
            return None
        if self._may_begin() and (begun := self._begin()) is not None:
            return begun
        return None if self._closing and not self._waiting else WAIT

    def end(self, ticket: Ticket, result: TileResult) -> None:
        """A ticket that was taken has its result; too late where the feed has been stopped."""
        self.changed.do(partial(self._end_running, ticket, result))

    def _end_running(self, ticket: Ticket, result: TileResult) -> None:
        if ticket in self._running:
            self._running.remove(ticket)
            self._end(ticket, result, begun=True)

    # Who consumes

    def consume(self, consumer: object | None = None) -> None:
        """Keep results from now on for the one consumer, while somebody refers to it; raises FeedError."""
        self._do(partial(self._consume, consumer))

    def _consume(self, consumer: object | None) -> None:
        self._look_for_consumer()
        if self._out.consumer:
            raise FeedError(
                "found a second consumer of the feed, expected one: share the results of the first"
            )
        if self._submitted:
            raise FeedError(
                f"found {self._submitted} tiles submitted, whose results were not kept: call results() "
                f"before the first submit"
            )
        self._out.open()
        if consumer is not None:
            self._consumer = weakref.ref(consumer, self._lanes_bell.put)  # type: ignore[arg-type]

    def unconsume(self, consumer: object) -> None:
        """The consumer was never handed out: it was interrupted before."""
        self._do(partial(self._unconsume, consumer))

    def _unconsume(self, consumer: object) -> None:
        if self._consumer is not None and self._consumer() is consumer:
            self._lose_consumer()

    def _look_for_consumer(self) -> None:
        """Nobody will ever fetch what a consumer that is gone was to get."""
        if self._consumer is not None and self._consumer() is None:
            self._lose_consumer()

    def _lose_consumer(self) -> None:
        self._consumer = None
        self._out.discard()
        self._out.consumer = bool(self._submitted)  # before the first tile there may be another
        self.changed.notify()

    def abandon(self) -> None:
        """The consumer wants no more results; they are not kept any longer."""
        self._do(self._abandon)

    def _abandon(self) -> None:
        self._out.discard()
        self.changed.notify()

    def next_result(self, *, wait: bool = True, tray: deque[TileResult] | None = None) -> TileResult | None:
        """The next result, removed; None where there will be none, or there is none now and wait=False.

        tray: the result is laid there in the same step, for a caller who might be interrupted meanwhile.
        """
        self.process.check()
        result = self.changed.until(partial(self._next_result, tray), None if wait else 0)
        return None if result is WAIT else result

    def result_or_bell(self, tray: deque[TileResult], bell: Bell) -> TileResult | Waiting | None:
        """As `next_result`; where there is none yet, WAIT at once, and the bell is rung after a change."""
        self.process.check()
        return self.changed.do(partial(self._next_result, tray), bell)

    def _next_result(self, tray: deque[TileResult] | None) -> TileResult | Waiting | None:
        if self._calling_back:
            self._calling_back = False
            self.changed.notify()
        if (result := self._out.take()) is None:
            return None if self._over() else WAIT
        self._calling_back = self.teller is not None
        if tray is not None:
            tray.append(result)
        self.changed.notify()
        return result

    @property
    def over(self) -> bool:
        """Whether no result will come any more."""
        return self.changed.do(self._over)

    def _over(self) -> bool:
        return self._stopped or (self._closing and self._ended() and self._out.empty)

    def callback_failed(self) -> None:
        """Count a callback that raised."""
        self.changed.do(self._callback_failed)

    def _callback_failed(self) -> None:
        self._callback_errors += 1

    # Who waits, looks and closes

    def ledger(self) -> Ledger:
        """The counts at this instant."""
        return self._do(self._ledger)

    def _ledger(self) -> Ledger:
        return Ledger(
            submitted=self._submitted,
            waiting=len(self._waiting),
            running=len(self._running),
            late=self._late,
            duplicates=self._duplicates,
            delivered=self._out.delivered,
            undelivered=self._out.undelivered,
            untold=self._out.untold,
            callback_errors=self._callback_errors,
            **{outcome.value: self._outcomes[outcome] for outcome in Outcome},
        )

    def wait_for(self, ticket: Ticket, timeout: float | None) -> TileResult:
        """As `Ticket.result`."""
        self.process.check()
        result = self.changed.until(partial(self._result_of, ticket), timeout)
        if result is WAIT:
            raise FeedTimeout(f"found no result within {timeout} s, expected one: wait longer, or cancel")
        return result

    def _result_of(self, ticket: Ticket) -> TileResult | Waiting:
        if ticket._ended is None:
            self.check_thread("wait for a ticket")
        return ticket._ended or WAIT

    def wait_until_idle(self, timeout: float | None) -> bool:
        """Whether within `timeout` s all tickets have ended, and the callback has returned for each."""
        self.process.check()
        self.check_thread("wait for the feed")
        return self.changed.until(lambda: self._idle() or WAIT, timeout) is True

    def begin_close(self) -> None:
        """Take no more tiles; finish those that wait."""
        self.changed.do(self._begin_close)

    def _begin_close(self) -> None:
        self._closing = True
        self.changed.notify()

    def stop(self, waiting: Outcome = Outcome.CANCELLED, reason: str = CUT_SHORT) -> None:
        """End every ticket now: those that wait as `waiting`, those that run as failed; call back no more."""
        self.changed.do(partial(self._stop, waiting, reason))

    def _stop(self, waiting: Outcome, reason: str) -> None:
        self._closing = True
        self.cut_short = self.cut_short or not self._idle()
        while self._waiting:
            self._end_unrun(self._oldest()[0], waiting, reason)
        for ticket in self._running:
            self._end(ticket, _without_network(ticket, Outcome.FAILED, reason), begun=True)
        self._running.clear()
        if self.teller is not None:
            self._out.discard()
            self._stopped = True
        self._tickets.clear()
        self.changed.notify()

    def check_thread(self, what: str) -> None:
        """Raises FeedError in the thread of the callback, which would wait for itself."""
        if self.teller is not None and self.teller.current:
            raise FeedError(f"found on_result about to {what}, which waits for on_result: use another thread")

    def _do(self, step: Callable[[], Value]) -> Value:
        """Make a step; raises FeedError in a forked process, where nobody would ever give the lock back."""
        self.process.check()
        return self.changed.do(step)

    # Under the lock

    def _room(self) -> bool:
        if len(self._waiting) >= self.options.capacity:
            for ticket in [ticket for ticket in self._waiting if self._is_late(ticket)]:
                del self._waiting[ticket]
                self._drop_late(ticket)
        return len(self._waiting) < self.options.capacity

    def _no_room(self) -> str:
        return NO_ROOM.format(waiting=self.options.capacity, policy=self.options.policy)

    def _may_begin(self) -> bool:
        return self._closing or not self._out.full

    def _oldest(self) -> tuple[Ticket, Item]:
        return self._waiting.popitem(last=False)

    def _begin(self) -> tuple[Ticket, Item] | None:
        while self._waiting:
            ticket, tile = self._oldest()
            if self._is_late(ticket):
                self._drop_late(ticket)
                continue
            self._running.add(ticket)
            self._out.began(ticket)
            self.changed.notify()
            return ticket, tile
        return None

    def _is_late(self, ticket: Ticket) -> bool:
        return ticket._due is not None and self.clock() > ticket._due

    def _drop_late(self, ticket: Ticket) -> None:
        self._late += 1
        self._end_unrun(ticket, Outcome.DROPPED, LATE)

    def _end_unrun(self, ticket: Ticket, outcome: Outcome, reason: str) -> None:
        self._end(ticket, _without_network(ticket, outcome, reason), begun=False)

    def _end(self, ticket: Ticket, result: TileResult, *, begun: bool) -> None:
        ticket._ended = result
        self._outcomes[result.outcome] += 1
        self._tickets.end(ticket)
        self._out.ended(result, begun=begun)
        self.changed.notify()

    def _ended(self) -> bool:
        return not (self._waiting or self._running)

    def _idle(self) -> bool:
        delivered = self.teller is None or (self._out.empty and not self._calling_back)
        return self._stopped or (self._ended() and delivered)


def _without_network(ticket: Ticket, outcome: Outcome, reason: str) -> TileResult:
    return TileResult(ticket.slide, ticket.x, ticket.y, ticket.span, outcome, error=reason)
