"""her2edge: HER2 status (0/1+, 2+, 3+) from routine H&E tiles, offline. Research use only.

What most programs need is here. The rest is in her2edge.errors, .stain, .feed, .slide, .runtime, .results,
.answer, .cohort, .model, .regions, .explain, .report, .shards and .watch.
"""

import importlib as _importlib
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

from her2edge.answer import Settle, SlideAnswer, answer_slide
from her2edge.classifier import Options, TileClassifier
from her2edge.errors import Her2EdgeError, OutputWriteError
from her2edge.feed import TileFeed
from her2edge.model import Model, Trust
from her2edge.results import SlideRun, classify_slide
from her2edge.slide import SlideReader, tiles_of
from her2edge.stain import MacenkoNormalizer
from her2edge.tile import LABELS, Outcome, Tile, TileResult
from her2edge.tissue import TissueFilter
from her2edge.version import __version__ as __version__

__all__ = [
    "LABELS",
    "Her2EdgeError",
    "MacenkoNormalizer",
    "Model",
    "Options",
    "Outcome",
    "OutputWriteError",
    "Settle",
    "SlideAnswer",
    "SlideReader",
    "SlideRun",
    "Tile",
    "TileClassifier",
    "TileFeed",
    "TileResult",
    "TissueFilter",
    "Trust",
    "answer_slide",
    "classify_slide",
    "tiles_of",
]

_ROOMS = (
    "answer",
    "cohort",
    "dicom",
    "errors",
    "explain",
    "feed",
    "model",
    "regions",
    "report",
    "results",
    "runtime",
    "shards",
    "slide",
    "stain",
    "watch",
)


def __dir__() -> list[str]:
    """What is meant to be used from outside: the names above, and the rooms with names of their own."""
    return [*__all__, *_ROOMS, "__version__"]


if not _TYPE_CHECKING:  # type checkers see the rooms as the modules they are

    def __getattr__(name: str) -> _ModuleType:
        """A room is imported when it is first asked for."""
        if name in _ROOMS:
            return _importlib.import_module(f"her2edge.{name}")
        raise AttributeError(
            f"module 'her2edge' has no attribute {name!r}: her2edge.errors, .stain and "
            "the other rooms have what is not at the top"
        )
