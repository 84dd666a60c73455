"""What `inspect` says of the slide answers of a model: novelty, quality, calibration, limits."""

from __future__ import annotations

from her2edge.model.manifest import Manifest
from her2edge.model.slide_records import AnswerLimits, CalibrationSlides, NoveltyRecord, Pooling
from her2edge.quality import QualityLimits
from her2edge.text import percent

Line = tuple[str, str]


def slide_lines(manifest: Manifest) -> list[Line]:
    """A line each, in the order in which they limit an answer."""
    return [
        ("novelty", _novelty(manifest.novelty)),
        ("quality", _quality(manifest.quality)),
        ("pooling", _pooling(manifest.pooling)),
        ("calibration", _calibration(manifest.calibration_slides)),
        ("slide limits", _limits(manifest.limits)),
        *_teacher(manifest),
    ]


def _limits(limits: AnswerLimits) -> str:
    shares = ((name.replace("_", " "), getattr(limits, name)) for name in limits.__struct_fields__)
    return ", ".join(f"{name} {percent(share, None)}" for name, share in shares)


def _novelty(record: NoveltyRecord | None) -> str:
    if record is None:
        return "none: tissue that the model was never trained on is not noticed, and answers say so"
    return (
        f"limit from {record.tiles} tiles of {record.slides} slides ({' and '.join(record.parts)}); "
        f"{record.far_slides} of {record.slides} far from the others when left out"
    )


def _quality(limits: QualityLimits | None) -> str:
    if limits is None:
        return "none of its own: the SDK's"
    return ", ".join(f"{name} {getattr(limits, name):g}" for name in limits.__struct_fields__)


def _pooling(pooling: Pooling | None) -> str:
    if pooling is None or pooling.kind == "mean":
        return "mean of the tiles"
    return f"{pooling.kind}, fitted on {pooling.slides} slides"


def _calibration(slides: CalibrationSlides | None) -> str:
    if slides is None:
        return "none: answers have no stated error"
    counts = ", ".join(f"{label} {count}" for label, count in slides.patients.items())
    return f"sets hold the truth in {percent(slides.level, None)} of patients; calibrated on {counts}"


def _teacher(manifest: Manifest) -> list[Line]:
    teacher = manifest.distilled_from
    if teacher is None:
        return []
    name = f"{teacher.teacher} (SHA-256 {teacher.teacher_sha256[:16]})"
    tiles = f"{teacher.tiles} tiles of {teacher.transfer_set}, temperature {teacher.temperature:g}"
    return [("teacher", f"{name}, {tiles}")]
