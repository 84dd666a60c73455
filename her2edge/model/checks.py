"""What types cannot say of the slide answer's records: that they fit the labels and each other."""

from __future__ import annotations

import math
from itertools import pairwise

from her2edge.errors import ModelError
from her2edge.model.slide_records import (
    FEWEST_SLIDES,
    AnswerLimits,
    CalibrationSlides,
    NoveltyRecord,
    Pooling,
    QualityRecord,
)
from her2edge.quality import QualityLimits


def check_limits(limits: AnswerLimits, quality: QualityLimits | None) -> None:
    """Raises ModelError where a warning would come after the refusal, or a limit says nothing."""
    if limits.novel > limits.far_from_training:
        raise ModelError("found limits.novel above limits.far_from_training in the manifest")
    if quality is not None and not all(math.isfinite(value) for value in _values(quality)):
        raise ModelError("found a quality limit in the manifest that is not a finite number")


def _values(quality: QualityLimits) -> list[float]:
    return [getattr(quality, name) for name in quality.__struct_fields__]


def check_novelty(record: NoveltyRecord | None) -> None:
    """Raises ModelError where more slides are called far from training than there are."""
    if record is not None and record.far_slides > record.slides:
        raise ModelError(
            f"found {record.far_slides} slides far from training of {record.slides} in the manifest's "
            "novelty, expected no more than there are; pack the model again"
        )


def check_quality(record: QualityRecord | None) -> None:
    """Raises ModelError where more tiles or slides are kept out than there are."""
    if record is not None and (record.kept_out > record.tiles or record.low_slides > record.slides):
        raise ModelError(
            f"found {record.kept_out} tiles kept out of {record.tiles} and {record.low_slides} slides of "
            f"{record.slides} in the manifest's quality_fit, expected no more than there are; "
            "pack the model again"
        )


def check_pooling(pooling: Pooling | None, labels: int) -> None:
    """Raises ModelError unless `mean` has no coefficients, and `linear` has those of all labels."""
    if pooling is None:
        return
    wanted = () if pooling.kind == "mean" else (2 * labels,) * labels
    widths = tuple(len(row) for row in pooling.coefficients)
    if widths != wanted or len(pooling.intercepts) != len(wanted):
        raise ModelError(
            f"found {pooling.kind} pooling with rows of {widths} coefficients and {len(pooling.intercepts)} "
            f"intercepts, expected rows of {wanted} and {len(wanted)}"
        )
    if pooling.kind == "linear" and pooling.slides < FEWEST_SLIDES:
        raise ModelError(
            f"found linear pooling fitted on {pooling.slides} slides, expected {FEWEST_SLIDES} or more"
        )


def check_calibration(
    calibration: CalibrationSlides | None, pooling: Pooling | None, labels: tuple[str, ...]
) -> None:
    """Raises ModelError unless each label has scores, ascending, and the level follows from alpha.

    Whether they are enough for sets is the answer's to say: a file with fewer is uncalibrated, not damaged.
    """
    if calibration is None:
        return
    if set(calibration.scores) != set(labels):
        raise ModelError(f"found scores of {sorted(calibration.scores)}, expected of each of {labels}")
    for label, scores in calibration.scores.items():
        if not scores or any(a > b for a, b in pairwise(scores)):
            raise ModelError(
                f"found {len(scores)} calibration scores of {label}, expected one or more, ascending"
            )
    fitted = pooling is not None and pooling.kind == "linear"
    promised = 1 - (2 if fitted else 1) * calibration.alpha
    if not math.isclose(calibration.level, promised, abs_tol=1e-9):
        raise ModelError(
            f"found sets that promise {calibration.level:g}, expected {promised:g} at alpha "
            f"{calibration.alpha:g} with {'a fitted' if fitted else 'mean'} pooling"
        )
