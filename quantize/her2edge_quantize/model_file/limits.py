"""Quality limits of a model: the defaults, but where they would keep out the lab's own clean tissue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from her2edge.quality import Figures, QualityLimits

FALSE_ALARMS = 0.01  # of clean tiles, of each code
_BLUR = "blur_full", "blur_half", "blur_quarter", "blur_eighth", "blur_along"
_PEN = "pen_green", "pen_blue", "pen_black", "pen_clear"
LEAST_TILES = 200  # below, one per cent is a tile or two: the defaults stay

# No laxer, whatever was measured: here blur of sigma 2 px and strokes of 50 px are found in 9 of 10 still.
LAXEST = QualityLimits(
    blur_full=0.02, blur_half=0.15, blur_quarter=0.19, blur_eighth=0.9, blur_along=0.22,
    pen_green=0.05, pen_blue=0.05, pen_black=0.05, pen_clear=0.04, over_exposed=0.03, compressed=2.0,
)  # fmt: skip


def fit_quality_limits(clean: Sequence[Figures]) -> QualityLimits:
    """Limits at which a code is on at most 1 % of clean tiles, between the defaults and `LAXEST`.

    clean: figures of all tiles of a run's validation part (of its training part as well, where that has few
    slides), of their pixels before stain normalisation, see `her2edge.quality.measure_figures`. Nobody has
    sorted out poor ones: they are believed to be few, and `LAXEST` bounds what many would do. Those without
    two stains are passed over. Never stricter than the defaults: limits fixed on one crisp scanner would keep
    out most of another's tissue. glass and inside say where a tile lies and stay. Of five figures of blur,
    and four of ink, each may have its share of the 1 %.
    """
    tissue = [figures for figures in clean if figures.stains]
    default = QualityLimits()
    if len(tissue) < LEAST_TILES:
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
