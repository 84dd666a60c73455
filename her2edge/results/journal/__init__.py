"""The crash-safe record of a slide's results: what was answered once is not computed again."""

from her2edge.results.journal.journal import BATCH, Journal
from her2edge.results.journal.opening import NAME, discard, discard_former, open_journal
from her2edge.results.journal.record import SlideStain

__all__ = [
    "BATCH",
    "NAME",
    "Journal",
    "SlideStain",
    "discard",
    "discard_former",
    "open_journal",
]
