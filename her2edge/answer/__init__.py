"""The slide answer: pure functions over tile results."""

from her2edge.answer.answer import (
    Promise,
    Reason,
    ReasonCode,
    Settled,
    Share,
    SlideAnswer,
    Status,
    TileCounts,
)
from her2edge.answer.interval import Effective, effective_tiles, share_interval
from her2edge.answer.order import RandomOrder, order_of_places
from her2edge.answer.pooling import MIN_TISSUE_TILES, NOT_ASSESSABLE, pooled_label
from her2edge.answer.settle import Settle, Settling
from her2edge.answer.slide import answer_slide
from her2edge.answer.words import answer_line

__all__ = [
    "MIN_TISSUE_TILES",
    "NOT_ASSESSABLE",
    "Effective",
    "Promise",
    "RandomOrder",
    "Reason",
    "ReasonCode",
    "Settle",
    "Settled",
    "Settling",
    "Share",
    "SlideAnswer",
    "Status",
    "TileCounts",
    "answer_line",
    "answer_slide",
    "effective_tiles",
    "order_of_places",
    "pooled_label",
    "share_interval",
]
