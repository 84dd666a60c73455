"""Macenko stain normalisation: profiles, fits, guards, and the slide-level fit."""

from her2edge.stain.accumulator import StainAccumulator
from her2edge.stain.fit import StainFit
from her2edge.stain.guards import StainStatus
from her2edge.stain.mode import StainMode, stain_mode
from her2edge.stain.normalizer import MacenkoNormalizer, StainResult, StainSource
from her2edge.stain.profiles import PROFILES, TARGETS

__all__ = [
    "PROFILES",
    "TARGETS",
    "MacenkoNormalizer",
    "StainAccumulator",
    "StainFit",
    "StainMode",
    "StainResult",
    "StainSource",
    "StainStatus",
    "stain_mode",
]
