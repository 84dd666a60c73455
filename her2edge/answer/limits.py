"""From which shares on a slide answer says more than its label. The model file may state others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MIN_TISSUE_TILES = 10


class Limits(Protocol):
    """Shares, 0..1; see `AnswerLimits`."""

    @property
    def far_from_training(self) -> float: ...
    @property
    def novel(self) -> float: ...
    @property
    def kept_out(self) -> float: ...
    @property
    def failed(self) -> float: ...
    @property
    def tissue(self) -> float: ...


@dataclass(frozen=True)
class AnswerLimits:
    """The limits of a model file that states none.

    far_from_training: more of the tiles above the novelty limit: not assessable; novel: said.
    kept_out: more of the tissue tiles kept out by quality: not assessable.
    failed:   more of the tiles without a result: said.
    tissue:   less of the tissue classified: said.
    """

    far_from_training: float = 0.5
    novel: float = 0.2
    kept_out: float = 0.3
    failed: float = 0.05
    tissue: float = 0.5


DEFAULT_LIMITS = AnswerLimits()
