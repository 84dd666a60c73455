"""The push API: a scanner's software submits tiles as they appear, and every one of them is accounted for."""

from her2edge.feed.consumer import Results
from her2edge.feed.feed import TileFeed
from her2edge.feed.ledger import Ledger
from her2edge.feed.options import BLOCK, DROP_OLDEST, POLICIES, REJECT, FeedOptions
from her2edge.feed.ticket import Ticket

__all__ = [
    "BLOCK",
    "DROP_OLDEST",
    "POLICIES",
    "REJECT",
    "FeedOptions",
    "Ledger",
    "Results",
    "Ticket",
    "TileFeed",
]
