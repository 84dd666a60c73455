"""The slide answer: pure functions over tile results."""

from her2edge.answer.summary import MIN_TISSUE_TILES, NOT_ASSESSABLE, SlideSummary, summarize

__all__ = ["MIN_TISSUE_TILES", "NOT_ASSESSABLE", "SlideSummary", "summarize"]
