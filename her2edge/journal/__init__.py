"""The crash-safe record of a slide's results: what was answered once is not computed again."""

from her2edge.journal.basis import Basis
from her2edge.journal.database import TakenError
from her2edge.journal.journal import Journal
from her2edge.journal.opening import discard, open_journal
from her2edge.journal.record import SlideStain

__all__ = ["Basis", "Journal", "SlideStain", "TakenError", "discard", "open_journal"]
