"""What becomes of a tile in a region: it is cut, or left out for a reason that is counted by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from her2edge.quality import Code, QualityLimits, background_kind, measure_quality
from her2edge.tile import Tile
from her2edge.tissue import TissueFilter, measure_light

_LIMITS = QualityLimits()  # a model has its own; there is none yet
_BLACK = TissueFilter(low=0, high=20)  # no stain lets so little light through: padding, or nothing scanned


class Fate(StrEnum):
    """`glass`, `pale` and `too_little` are `her2edge.tile.Background`'s."""

    CUT = "cut"
    GLASS = "glass"
    PALE = "pale"
    TOO_LITTLE = "too_little"
    BLACK = "black"
    NO_STAIN = "no_stain"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Judged:
    """background: share of it, 0..1. codes: of `her2edge.quality`, of a tile that is cut."""

    fate: Fate
    background: float = 0.0
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tally:
    """Tiles by (label, fate), and those cut by (label, quality code); fates: of all, as they came."""

    fates: list[tuple[str, Fate]] = field(default_factory=list)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, label: str, judged: Judged) -> None:
        """Count a tile."""
        self.fates.append((label, judged.fate))
        self.codes.update((label, code) for code in judged.codes)


def judge(tile: Tile, tissue: TissueFilter) -> Judged:
    """Cut it, unless it is background, padding or without two stains."""
    rows, columns = tile.valid or tile.pixels.shape[:2]
    light = measure_light(tissue, tile.pixels[:rows, :columns])
    background = light.background
    if background >= tissue.share:
        return Judged(Fate(background_kind(light.glass, background, tissue).value), background)
    if background + _BLACK.background_share(tile.pixels, tile.valid) >= tissue.share:
        return Judged(Fate.BLACK, background)
    codes: Sequence[str] = measure_quality(tile.pixels, (rows, columns), _LIMITS, light).codes
    if Code.NO_STAIN in codes:
        return Judged(Fate.NO_STAIN, background)
    return Judged(Fate.CUT, background, tuple(codes))
