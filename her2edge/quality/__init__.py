"""The quality of a tile's picture: what keeps it out of the slide answer, though it is classified."""

from her2edge.quality.background import background_kind
from her2edge.quality.codes import Figures, Quality, judge_quality, keeping_out
from her2edge.quality.limits import KEEPS_OUT, Code, QualityLimits
from her2edge.quality.measure import measure_figures, measure_quality

__all__ = [
    "KEEPS_OUT",
    "Code",
    "Figures",
    "Quality",
    "QualityLimits",
    "background_kind",
    "judge_quality",
    "keeping_out",
    "measure_figures",
    "measure_quality",
]
