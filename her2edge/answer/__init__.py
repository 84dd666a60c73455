"""The slide answer: pure functions over tile results."""

from her2edge.answer.answer import Reason, ReasonCode, SlideAnswer, Status
from her2edge.answer.stub import answer_slide
from her2edge.answer.summary import MIN_TISSUE_TILES, SlideSummary, summarize

__all__ = [
    "MIN_TISSUE_TILES",
    "Reason",
    "ReasonCode",
    "SlideAnswer",
    "SlideSummary",
    "Status",
    "answer_slide",
    "summarize",
]
