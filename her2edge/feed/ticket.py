"""Ticket: what a scanner holds in its hand for a tile it has submitted."""

from __future__ import annotations

from typing import Protocol

from her2edge.prepare import span_of
from her2edge.processes import OneProcess
from her2edge.tile import Outcome, Tile, TileResult, UnreadableTile

Key = tuple[str, tuple[float, float], float, float]


class Keeper(Protocol):
    """Who holds the state of tickets."""

    def wait_for(self, ticket: Ticket, timeout: float | None) -> TileResult:
        """As `Ticket.result`."""
        ...

    def cancel_one(self, ticket: Ticket) -> bool:
        """As `Ticket.cancel`."""
        ...


class Ticket(OneProcess):
    """One submitted tile, without its pixels. It ends in exactly one outcome.

    Its result can be sent to another process; the ticket cannot.

    number: place in the order in which the feed took its tiles, from 1.
    slide, x, y, span: the tile's key, as in `TileResult`.
    """

    __slots__ = ("_due", "_ended", "_keeper", "_key", "number", "slide", "span", "x", "y")
    advice = "send its result()"

    def __init__(self, keeper: Keeper, tile: Tile | UnreadableTile, due: float | None) -> None:
        self.number = 0
        self.slide, self.x, self.y, self.span = tile.slide, tile.x, tile.y, span_of(tile)
        self._keeper = keeper
        self._due = due
        self._key = _key(tile)
        self._ended: TileResult | None = None

    def __repr__(self) -> str:
        return f"<Ticket {self.number}: {self.slide!r} {self.x}, {self.y}: {self.outcome or 'not ended'}>"

    @property
    def done(self) -> bool:
        """Whether the ticket has ended."""
        return self._ended is not None

    @property
    def outcome(self) -> Outcome | None:
        """What became of the tile; None until the ticket ends."""
        return None if self._ended is None else self._ended.outcome

    def result(self, timeout: float | None = None) -> TileResult:
        """Wait for the result, `timeout` seconds at most (None: as long as it takes).

        Raises FeedTimeout where there is none by then, and FeedError where waiting could never end: in
        `on_result`, or in a process forked from the feed's.
        """
        return self._ended or self._keeper.wait_for(self, timeout)

    def cancel(self) -> bool:
        """End the ticket as `cancelled` if its tile still waits; whether it did.

        A tile the network has begun is finished. Who submitted the same tile twice holds one ticket.
        """
        return self._keeper.cancel_one(self)


def _key(tile: Tile | UnreadableTile) -> Key | None:
    """By what a tile is known when it comes again; None for one that says nothing about its place."""
    key = (tile.slide, span_of(tile), tile.x, tile.y)
    try:
        hash(key)
        placed = bool(tile.slide or tile.x or tile.y or tile.span is not None)
    except (TypeError, ValueError):  # a place that is no number: nothing to know it by
        return None
    return key if placed else None
