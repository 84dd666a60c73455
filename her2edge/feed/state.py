"""State: all that a feed knows of its tiles, under one lock. It has no thread of its own; all others call in.

A ticket waits, runs and ends; its result then goes to the outbox. While that is full no tile is begun, so a
slow consumer fills the waiting tiles, and the policy decides. Closing lets the tiles that wait pass: they are
`capacity` at most, and no more can follow.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from her2edge.errors import FeedError, FeedTimeout
from her2edge.feed.duplicates import Duplicates
from her2edge.feed.ledger import Ledger
from her2edge.feed.options import BLOCK, REJECT, FeedOptions
from her2edge.feed.outbox import Outbox
from her2edge.feed.ticket import Ticket
from her2edge.prepare import CheckedTile
from her2edge.tile import Outcome, TileResult, UnreadableTile

LATE = "the tile waited longer than max_wait for the network"
NO_ROOM = "the feed was full: {waiting} tiles waited, and its policy is {policy}"
CANCELLED = "cancelled before it began"
CUT_SHORT = "the feed was closed before the tile was answered"

Clock = Callable[[], float]
Item = CheckedTile | UnreadableTile


class State:
    """The state of one feed. Every public method takes the lock by itself.

    changed: the lock; notified whenever something has changed. wakers: called then too, under the lock.
    teller: the thread that runs the callback, which must not wait for itself.
    """

    def __init__(self, options: FeedOptions, lanes: int, clock: Clock = time.monotonic) -> None:
        self.options, self.lanes, self.clock = options, lanes, clock
        self.changed = threading.Condition()
        self.wakers: list[Callable[[], None]] = []
        self.teller: threading.Thread | None = None
        self._pid = os.getpid()
        self._tickets = Duplicates(options.remember)
        self._waiting: OrderedDict[Ticket, Item] = OrderedDict()  # the longest first
        self._running: set[Ticket] = set()
        self._out = Outbox(options.capacity, lanes)
        self._outcomes: Counter[Outcome] = Counter()
        self._submitted = self._late = self._duplicates = 0
        self._callback_errors = 0
        self._calling_back = self._closing = self._stopped = False
        self.cut_short = False  # whether the feed was stopped before all was done

    # Those who submit

    def accept(self, ticket: Ticket, tile: Item, timeout: float | None) -> Ticket:
        """The ticket, or that of the same tile if it is known; raises FeedError, FeedTimeout."""
        until = None if timeout is None else self.clock() + timeout
        with self._mine():
            while True:
                if self._closing:
                    raise FeedError("found the feed closed, expected an open one: open another")
                if (earlier := self._tickets.find(ticket)) is not None:
                    self._duplicates += 1
                    return earlier
                if self._room():
                    break
                if self.options.policy == BLOCK:
                    self._wait_for_room(until, timeout)
                    continue
                dropped = ticket if self.options.policy == REJECT else self._oldest()[0]
                self._end_unrun(dropped, Outcome.DROPPED, self._no_room())
                break
            self._submitted += 1
            ticket.number = self._submitted
            if not ticket.done:
                self._tickets.add(ticket)
                self._waiting[ticket] = tile
            self._notify()
        return ticket

    def cancel_one(self, ticket: Ticket) -> bool:
        """End a waiting ticket as cancelled; whether it was waiting."""
        with self._mine():
            if self._waiting.pop(ticket, None) is None:
                return False
            self._end_unrun(ticket, Outcome.CANCELLED, CANCELLED)
        return True

    def cancel_all(self) -> int:
        """End all waiting tickets as cancelled; how many."""
        with self._mine():
            count = len(self._waiting)
            while self._waiting:
                self._end_unrun(self._oldest()[0], Outcome.CANCELLED, CANCELLED)
        return count

    def forget(self, slide: str) -> int:
        """As `Duplicates.forget`."""
        with self._mine():
            return self._tickets.forget(slide)

    # Lanes

    def take(self) -> tuple[Ticket, Item] | None:
        """The next ticket to answer and its tile, as soon as there is one; None: there will be none."""
        with self.changed:
            while not self._stopped:
                if self._may_begin() and (begun := self._begin()) is not None:
                    return begun
                if self._closing and not self._waiting:
                    return None
                self.changed.wait()
        return None

    def end(self, ticket: Ticket, result: TileResult) -> None:
        """A ticket that was taken has its result; too late where the feed has been stopped."""
        with self.changed:
            if ticket in self._running:
                self._running.remove(ticket)
                self._end(ticket, result, begun=True)

    # Who consumes

    def consume(self) -> None:
        """Keep results from now on for the one consumer; raises FeedError."""
        with self._mine():
            if self._out.consumer:
                raise FeedError("found a second consumer of the feed, expected one: share its results")
            if self._submitted:
                raise FeedError(
                    f"found {self._submitted} tiles submitted, whose results nobody kept: "
                    "call results() before the first submit"
                )
            self._out.open()

    def abandon(self) -> None:
        """The consumer wants no more results; they are not kept any longer."""
        with self._mine():
            self._out.discard()
            self._notify()

    def next_result(self, *, wait: bool = True) -> TileResult | None:
        """The next result, removed; None where there will be none, or there is none now and wait=False."""
        with self._mine():
            if self._calling_back:
                self._calling_back = False
                self._notify()
            while (result := self._out.take()) is None:
                if not wait or self.over:
                    return None
                self.changed.wait()
            self._calling_back = self.teller is not None
            self._notify()
            return result

    @property
    def over(self) -> bool:
        """Whether no result will come any more."""
        with self.changed:
            return self._stopped or (self._closing and self._ended() and self._out.empty)

    def callback_failed(self) -> None:
        """Count a callback that raised."""
        with self.changed:
            self._callback_errors += 1

    # Who waits, looks and closes

    def ledger(self) -> Ledger:
        """The counts at this instant."""
        with self._mine():
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
        with self._mine():
            if not ticket.done:
                self.check_thread("wait for a ticket")
            self.changed.wait_for(lambda: ticket.done, timeout)
            if ticket._ended is None:
                raise FeedTimeout(f"found no result within {timeout} s, expected one: wait longer, or cancel")
            return ticket._ended

    def wait_until_idle(self, timeout: float | None) -> bool:
        """Whether within `timeout` s all tickets have ended, and the callback has returned for each."""
        with self._mine():
            self.check_thread("wait for the feed")
            return self.changed.wait_for(self._idle, timeout)

    def begin_close(self) -> None:
        """Take no more tiles; finish those that wait."""
        with self.changed:
            self._closing = True
            self._notify()

    def stop(self, waiting: Outcome = Outcome.CANCELLED, reason: str = CUT_SHORT) -> None:
        """End every ticket now: those that wait as `waiting`, those that run as failed; call back no more."""
        with self.changed:
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
            self._notify()

    def check_thread(self, what: str) -> None:
        """Raises FeedError in the thread of the callback, which would wait for itself."""
        if threading.current_thread() is self.teller:
            raise FeedError(f"found on_result about to {what}, which waits for on_result: use another thread")

    @property
    def forked(self) -> bool:
        """Whether this is a process forked from the feed's: its threads are in the other."""
        return os.getpid() != self._pid

    def _mine(self) -> threading.Condition:
        """The lock; raises FeedError in a forked process, where nobody would ever give it back."""
        if self.forked:
            raise FeedError("found a feed of the process this one was forked from: open one here")
        return self.changed

    # Under the lock

    def _notify(self) -> None:
        self.changed.notify_all()
        for wake in tuple(self.wakers):  # an event loop may add its own meanwhile
            with contextlib.suppress(RuntimeError):  # an event loop that is closed
                wake()

    def _room(self) -> bool:
        if len(self._waiting) >= self.options.capacity:
            for ticket in [ticket for ticket in self._waiting if self._is_late(ticket)]:
                del self._waiting[ticket]
                self._drop_late(ticket)
        return len(self._waiting) < self.options.capacity

    def _wait_for_room(self, until: float | None, timeout: float | None) -> None:
        self.check_thread("wait for room in the feed")
        left = None if until is None else until - self.clock()
        if left is not None and left <= 0:
            raise FeedTimeout(
                f"found no room in the feed within {timeout} s, {len(self._waiting)} tiles wait: wait "
                'longer, or choose the policy "drop_oldest" or "reject"'
            )
        self.changed.wait(left)

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
            self._notify()
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
        self._notify()

    def _ended(self) -> bool:
        return not (self._waiting or self._running)

    def _idle(self) -> bool:
        delivered = self.teller is None or (self._out.empty and not self._calling_back)
        return self._stopped or (self._ended() and delivered)


def _without_network(ticket: Ticket, outcome: Outcome, reason: str) -> TileResult:
    return TileResult(ticket.slide, ticket.x, ticket.y, ticket.span, outcome, error=reason)
