"""The crash-safe record of a slide's results: what was answered once is not computed again."""

from her2edge.results.journal.database import TakenError
from her2edge.results.journal.journal import Journal
from her2edge.results.journal.opening import discard, open_journal
from her2edge.results.journal.record import SlideStain
from her2edge.results.provenance import Basis

__all__ = ["Basis", "Journal", "SlideStain", "TakenError", "discard", "open_journal"]
