"""Outbox: results on their way to the one consumer, in bounded memory. Its caller holds the lock."""

from __future__ import annotations

from collections import deque

from her2edge.feed.ticket import Ticket
from her2edge.tile import TileResult


class Outbox:
    """Two queues, bounded whatever the consumer does:

        begun  tickets the network has begun, in the order submitted; the first goes out once it has ended.
               `full` from `capacity` + lanes on: no tile is to be begun then.
        unrun  results of tickets that ended without beginning. Where `capacity` are in it, more are untold.

    consumer: whether there is, or was, one. keeping: whether it wants results still.
    delivered, untold: results that went out, and that never will.
    """

    def __init__(self, capacity: int, lanes: int) -> None:
        self._capacity, self._lanes = capacity, lanes
        self._begun: deque[Ticket] = deque()
        self._unrun: deque[TileResult] = deque()
        self.consumer = self.keeping = False
        self.delivered = self.untold = 0

    @property
    def full(self) -> bool:
        """Whether the consumer should take some before another tile is begun."""
        return len(self._begun) >= self._capacity + self._lanes

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way, nor will be from a tile that was begun."""
        return not (self._begun or self._unrun)

    @property
    def undelivered(self) -> int:
        """Results on their way."""
        return sum(ticket.done for ticket in self._begun) + len(self._unrun)

    def open(self) -> None:
        """There is a consumer from now on."""
        self.consumer = self.keeping = True

    def began(self, ticket: Ticket) -> None:
        """The ticket's result goes out after those of the tickets that began before it."""
        if self.keeping:
            self._begun.append(ticket)

    def ended(self, result: TileResult, *, begun: bool) -> None:
        """A ticket has ended; one that was begun has its place already."""
        if self.keeping and not begun and len(self._unrun) < self._capacity:
            self._unrun.append(result)
        elif self.consumer and not (self.keeping and begun):
            self.untold += 1

    def take(self) -> TileResult | None:
        """The next result, None where there is none yet."""
        result = None
        if self._unrun:
            result = self._unrun.popleft()
        elif self._begun and self._begun[0].done:
            result = self._begun.popleft()._ended
        self.delivered += result is not None
        return result

    def discard(self) -> None:
        """The consumer gets no more."""
        self.untold += self.undelivered
        self._begun.clear()
        self._unrun.clear()
        self.keeping = False
