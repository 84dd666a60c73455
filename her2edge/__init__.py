"""her2edge: HER2 status (0/1+, 2+, 3+) from routine H&E tiles, offline. Research use only."""

from her2edge.answer import SlideSummary, summarize
from her2edge.classifier import Options, TileClassifier
from her2edge.errors import (
    FeedError,
    FeedTimeout,
    Her2EdgeError,
    InferenceError,
    MissingInputError,
    ModelError,
    OptionError,
    OutputError,
    RuntimeUnavailable,
    SlideError,
    SlideReadError,
    StainError,
    TileError,
)
from her2edge.explain import Explanation
from her2edge.feed import Ledger, Ticket, TileFeed
from her2edge.model.file import Model
from her2edge.model.trust import Trust
from her2edge.results import SlideRun, classify_slide, fit_slide
from her2edge.slide import SlideReader, TileSize
from her2edge.stain import (
    MacenkoNormalizer,
    StainAccumulator,
    StainFit,
    StainResult,
    StainSource,
    StainStatus,
)
from her2edge.tile import LABELS, RESEARCH_USE, Outcome, Tile, TileResult, UnreadableTile
from her2edge.tissue import TissueFilter
from her2edge.version import __version__ as __version__

__all__ = [
    "LABELS",
    "RESEARCH_USE",
    "Explanation",
    "FeedError",
    "FeedTimeout",
    "Her2EdgeError",
    "InferenceError",
    "Ledger",
    "MacenkoNormalizer",
    "MissingInputError",
    "Model",
    "ModelError",
    "OptionError",
    "Options",
    "Outcome",
    "OutputError",
    "RuntimeUnavailable",
    "SlideError",
    "SlideReadError",
    "SlideReader",
    "SlideRun",
    "SlideSummary",
    "StainAccumulator",
    "StainError",
    "StainFit",
    "StainResult",
    "StainSource",
    "StainStatus",
    "Ticket",
    "Tile",
    "TileClassifier",
    "TileError",
    "TileFeed",
    "TileResult",
    "TileSize",
    "TissueFilter",
    "Trust",
    "UnreadableTile",
    "classify_slide",
    "fit_slide",
    "summarize",
]
