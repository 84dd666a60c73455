"""Duplicates: which tiles of a feed are the same, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from her2edge.feed.ticket import Key, Ticket
from her2edge.tile import Outcome

ANSWERED = (Outcome.CLASSIFIED, Outcome.BACKGROUND)


class Duplicates:
    """Tickets by key: those that have not ended, and the last `remember` that were answered.

    One that failed, was dropped or cancelled is forgotten at once: the tile may be tried again.
    """

    def __init__(self, remember: int) -> None:
        self._remember = remember
        self._open: dict[Key, Ticket] = {}
        self._answered: OrderedDict[Key, Ticket] = OrderedDict()

    def find(self, ticket: Ticket) -> Ticket | None:
        """The ticket of the same tile, None where it is not known."""
        key = ticket._key
        if key is None:
            return None
        return self._open.get(key) or self._answered.get(key)

    def add(self, ticket: Ticket) -> None:
        """A ticket that `find` did not find."""
        if ticket._key is not None:
            self._open[ticket._key] = ticket

    def end(self, ticket: Ticket) -> None:
        """The ticket has ended."""
        key = ticket._key
        if key is None or self._open.get(key) is not ticket:
            return
        del self._open[key]
        if ticket.outcome in ANSWERED and self._remember:
            self._answered[key] = ticket
            if len(self._answered) > self._remember:
                self._answered.popitem(last=False)

    def forget(self, slide: str) -> int:
        """Forget what was answered of a slide; how many tiles that were."""
        keys = [key for key in self._answered if key[0] == slide]
        for key in keys:
            del self._answered[key]
        return len(keys)

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._answered.clear()
