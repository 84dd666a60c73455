"""What prediction sets promise, and how far one calibration may fall short of it.

With n scores of a label and l = floor((n + 1) alpha), the coverage of one calibration is drawn from
Beta(n + 1 - l, l) (Vovk 2012, Conditional validity of inductive conformal predictors, PMLR 25): its mean is
at least 1 - alpha, its 5 % quantile is what one calibration in twenty is below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from her2edge.answer.answer import Promise
from her2edge.answer.beta import beta_quantile
from her2edge.model.slide_records import CalibrationSlides, Pooling
from her2edge.text import percent

UNLUCKY = 0.05  # share of calibrations whose sets hold the truth less often than `lowest_level`


def lowest_level(count: int, alpha: float) -> float:
    """The coverage, 0..1, that 5 % of calibrations on `count` slides of a label are below; 1: every set holds
    the label."""
    allowed = math.floor((count + 1) * alpha + 1e-9)
    return beta_quantile(UNLUCKY, count + 1 - allowed, allowed) if allowed else 1.0


def promise_of(calibration: CalibrationSlides, pooling: Pooling | None) -> Promise:
    """What the sets of a model file promise. pooling: the file's, None for the mean."""
    if pooling is not None and pooling.kind != "mean":
        return Promise(calibration.level, None, pooling.slides)
    low = min(lowest_level(count, calibration.alpha) for count in calibration.patients.values())
    return Promise(calibration.level, low)


def promise_line(promise: Promise, patients: Mapping[str, int]) -> str:
    """`90 % (12 slides per class; such a calibration may be as low as 78 %)`."""
    return f"{percent(promise.level, None)} ({basis_words(promise, patients)})"


def basis_words(promise: Promise, patients: Mapping[str, int]) -> str:
    """What a promise rests on, and how far it may be missed. patients: by label."""
    fewest, most = min(patients.values()), max(patients.values())
    counts = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    if promise.low is None:
        return (
            f"{counts} slides per class; pooling fitted on {promise.fitted_on} slides, which were scored by "
            "leaving one patient out"
        )
    return f"{counts} slides per class; such a calibration may be as low as {percent(promise.low)}"
