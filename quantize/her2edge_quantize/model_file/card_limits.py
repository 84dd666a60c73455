"""The part of a model card that says when a slide answer of this model can be trusted."""

from __future__ import annotations

from her2edge.model.slide_records import AnswerLimits, NoveltyRecord, QualityRecord
from her2edge.text import percent
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.novelty import FEWEST_SLIDES

_PARTS = {
    ("validation",): "the run's validation part",
    ("train", "validation"): "the run's training and validation parts, since validation has too few slides",
    ("train",): "the run's training part",
}
UNCALIBRATED = (
    "Not calibrated: slide answers have no stated error. `her2edge calibrate` states it, from slides of "
    "other patients with known scores."
)


def limits_text(about: Description) -> str:
    """Novelty, quality, limits of the slide answer, calibration: a paragraph each."""
    quality = "No limits of picture quality: tiles are judged by the SDK's own."
    if about.quality is not None:
        values = ((name, getattr(about.quality, name)) for name in about.quality.__struct_fields__)
        quality = f"Picture quality: {', '.join(f'{name} {value:g}' for name, value in values)}."
        quality += " " + _kept_out(about.quality_fit)
    return "\n\n".join([_novelty(about.novelty), quality, _answer(about.limits), UNCALIBRATED])


def _novelty(record: NoveltyRecord | None) -> str:
    if record is None:
        return (
            "No novelty limit: the run has too few slides to tell what is usual, so unfamiliar tissue is not "
            f"noticed. A limit needs {FEWEST_SLIDES} slides or more in training and validation: train on "
            "more and quantise again."
        )
    return (
        f"Novelty: {record.components} principal components of {record.tiles} tiles of {record.slides} "
        f"slides, {_PARTS.get(record.parts, ', '.join(record.parts))}. Of tiles whose slides were left out "
        f"of the fit, {percent(record.quantile, None)} are within the limit; {record.far_slides} of "
        f"{record.slides} slides have most of their tiles beyond it when left out "
        f"({percent(record.false_alarms, 1)} false alarms)."
    )


def _kept_out(record: QualityRecord | None) -> str:
    if record is None:
        return "These are the SDK's own: the run has too few tiles or slides to fit them."
    return (
        f"When fitted without their slide, they keep out {record.kept_out} of the run's own {record.tiles} "
        f"tiles ({percent(record.kept_out / record.tiles, 1)}), and {record.low_slides} of {record.slides} "
        "slides would not be assessable. Nobody sorted out poor tiles."
    )


def _answer(limits: AnswerLimits) -> str:
    far, poor, novel, failed, tissue = (
        percent(share, None)
        for share in (limits.far_from_training, limits.kept_out, limits.novel, limits.failed, limits.tissue)
    )
    return (
        f"A slide is not assessable when more than {far} of its tissue tiles without a quality code are "
        f"beyond the novelty limit, or more than {poor} of its tissue tiles have poor picture quality or "
        f"stains that cannot be fitted. Said as well: more than {novel} "
        f"beyond the novelty limit, more than {failed} failed, less than {tissue} of the tissue classified."
    )
