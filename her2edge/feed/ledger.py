"""Ledger: where all the tiles of a feed are, at one instant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ledger:
    """A snapshot of a feed's counts, in tickets, taken at one instant. It adds up at any:

        submitted = waiting + running + ended
        ended     = classified + background + failed + dropped + cancelled

    late: of the dropped, those that had waited longer than `max_wait`.
    duplicates: calls of `submit` that got the ticket of a tile already known; not in `submitted`.

    Where it has a consumer (`on_result`, or `results()`), also ended = delivered + undelivered + untold:

    delivered:   results handed to the consumer.
    undelivered: results that wait for it, or for the tiles submitted before them.
    untold:      results it never gets: of tiles dropped or cancelled while `capacity` of such results waited
        for it, or that it had not taken when the feed was closed. Their tickets have the outcome.
    callback_errors: calls of `on_result` that raised.
    """

    submitted: int = 0
    waiting: int = 0
    running: int = 0
    classified: int = 0
    background: int = 0
    failed: int = 0
    dropped: int = 0
    cancelled: int = 0
    late: int = 0
    duplicates: int = 0
    delivered: int = 0
    undelivered: int = 0
    untold: int = 0
    callback_errors: int = 0

    @property
    def ended(self) -> int:
        """Tickets that have an outcome."""
        return self.classified + self.background + self.failed + self.dropped + self.cancelled
