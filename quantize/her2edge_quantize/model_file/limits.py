"""Quality limits of a model: the defaults, but where they would keep out the lab's own clean tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.model.slide_records import AnswerLimits, QualityRecord
from her2edge.quality import KEEPS_OUT, Code, Figures, QualityLimits, judge_quality

FALSE_ALARMS = 0.01  # of clean tiles, of each code
_BLUR = "blur_full", "blur_half", "blur_quarter", "blur_eighth", "blur_along"
_PEN = "pen_green", "pen_blue", "pen_black", "pen_clear"
LEAST_TILES = 200  # below, one per cent is a tile or two: the defaults stay
LEAST_SLIDES = 10  # below, one slide is the scanner: the defaults stay
MOST_FITS = 60  # that leave slides out
LOW = AnswerLimits().kept_out  # of a slide's tiles kept out: the slide is not assessable
# What limits are fitted for: stains have guards of their own, and edge says where a tile lies.
_KEEP_OUT = set(KEEPS_OUT) - {Code.EDGE, Code.NO_STAIN}

# No laxer, whatever was measured: here blur of sigma 2 px and strokes of 50 px are found in 9 of 10 still.
LAXEST = QualityLimits(
    blur_full=0.02, blur_half=0.15, blur_quarter=0.19, blur_eighth=0.9, blur_along=0.22,
    pen_green=0.05, pen_blue=0.05, pen_black=0.05, pen_clear=0.04, over_exposed=0.03, compressed=2.0,
)  # fmt: skip


@dataclass(frozen=True)
class FittedQuality:
    """Limits, and how often they would have kept out the run's own tiles; None where the defaults stay."""

    limits: QualityLimits
    record: QualityRecord | None


def fit_quality_limits(clean: Sequence[Figures], slides: Sequence[str]) -> FittedQuality:
    """Limits at which a code is on at most 1 % of clean tiles, between the defaults and `LAXEST`.

    clean: figures of all tiles of a run's validation part (of its training part as well, where that has few
    slides), of their pixels before stain normalisation, see `her2edge.quality.measure_figures`. slides: of
    each tile. Nobody has sorted out poor ones. So slides most of whose tiles have a code by the defaults have
    no say as long as they are fewer than half: such a slide is poor itself, where all are it is the scanner;
    and `LAXEST` bounds what many would do. Tiles without two stains are passed over. Never stricter than
    the defaults: limits fixed on one crisp scanner would keep out most of another's tissue. glass and inside
    say where a tile lies and stay. Each figure of blur, and of ink, may have its share of the 1 %.

    The record counts tiles and slides that limits fitted without their slide keep out (of more than 60 slides
    several are left out at a time).
    """
    names, where = np.unique(np.array(slides, dtype=str), return_inverse=True)
    count = len(names)
    if sum(one.stains for one in clean) < LEAST_TILES or count < LEAST_SLIDES:
        return FittedQuality(QualityLimits(), None)
    poor = _poor_slides(clean, where, count)
    out = np.zeros(len(clean), bool)
    for fold in range(min(MOST_FITS, count)):
        left = where % MOST_FITS == fold
        limits = _limits([one for one, gone in zip(clean, left | poor[where], strict=True) if not gone])
        for i in np.flatnonzero(left).tolist():
            out[i] = not _KEEP_OUT.isdisjoint(judge_quality(clean[i], limits))
    shares = np.bincount(where, weights=out) / np.bincount(where)
    record = QualityRecord(
        kept_out=int(out.sum()), tiles=len(clean), low_slides=int((shares > LOW).sum()), slides=count
    )
    return FittedQuality(_limits([one for one, k in zip(clean, where, strict=True) if not poor[k]]), record)


def _poor_slides(clean: Sequence[Figures], where: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """(count,) whether most of a slide's tiles have a code by the defaults; none where half of all have."""
    default = QualityLimits()
    coded = np.array([not _KEEP_OUT.isdisjoint(judge_quality(one, default)) for one in clean])
    poor = np.bincount(where, weights=coded, minlength=count) > np.bincount(where, minlength=count) / 2
    return poor if 2 * poor.sum() < count else np.zeros(count, bool)


def _limits(clean: Sequence[Figures]) -> QualityLimits:
    tissue = [figures for figures in clean if figures.stains]
    default = QualityLimits()
    if not tissue:
        return default

    def least(name: str, share: float) -> float:
        values = [value for one in tissue if (value := getattr(one, name)) is not None]
        low = float(np.quantile(values, share, method="lower")) if values else np.inf
        return float(max(getattr(LAXEST, name), min(getattr(default, name), low)))

    def most(name: str, share: float, figure: str = "") -> float:
        values = [getattr(one, figure or name) for one in tissue]
        high = float(np.quantile(values, 1 - share, method="higher"))
        return float(min(getattr(LAXEST, name), max(getattr(default, name), high)))

    return QualityLimits(
        **{name: least(name, FALSE_ALARMS / len(_BLUR)) for name in _BLUR},
        **{name: most(name, FALSE_ALARMS / len(_PEN)) for name in _PEN},
        over_exposed=most("over_exposed", FALSE_ALARMS),
        compressed=most("compressed", FALSE_ALARMS, "grid"),
    )
