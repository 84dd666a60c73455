"""Add to a model file how sure its slide answers are, by slides of patients that it did not learn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.answer.sets import FEWEST_OF_A_CLASS, prediction_set
from her2edge.cohort import CohortError
from her2edge.errors import ModelError
from her2edge.model.file import Model, read_members
from her2edge.model.manifest import Manifest, dump_manifest
from her2edge.model.records import Member
from her2edge.model.slide_records import CalibrationSlides, Pooling
from her2edge.results.scored import Scored, ScoredSlide
from her2edge.text import shown
from her2edge_quantize.model_file.archive import assemble
from her2edge_quantize.model_file.calibration_slides import usable_slides
from her2edge_quantize.model_file.calibration_text import card_with
from her2edge_quantize.model_file.linear_pooling import fit_linear
from her2edge_quantize.model_file.novelty import FEWEST_SLIDES

ALPHA = 0.10
CARD = "MODEL_CARD.md"
PoolingKind = Literal["mean", "linear"]


@dataclass(frozen=True)
class Calibrated:
    """data: the model file. slides: that calibrated it; left_out: that could not be assessed.

    sets: of each slide, by the calibration that it is part of; after a fitted pooling its probabilities are
    those of a fit without it. enough: there are enough of each label for sets; else answers stay
    uncalibrated. unsigned: a signature was taken away. checked: the file says which patients it learnt from,
    all of them.
    """

    data: bytes
    record: CalibrationSlides
    pooling: Pooling
    slides: tuple[ScoredSlide, ...]
    left_out: tuple[ScoredSlide, ...]
    sets: tuple[tuple[str, ...], ...]
    enough: bool
    unsigned: bool
    checked: bool


def calibrate(data: bytes, scored: Scored, pooling: PoolingKind = "mean") -> Calibrated:
    """The model file with prediction sets of alpha 0.10; FlatBuffer, limits and all other members stay.

    data: a model file. scored: `read_scored`, slides that trained nothing, one of each patient.
    pooling: "linear" fits one, see `fit_linear`.
    The same input gives the same bytes. A signature is left out: the file is to be signed again.

    Raises ModelError for bytes that are no model or a model without novelty limit; CohortError for slides
    that may not calibrate it, see `usable_slides`, or a label without any; OptionError as `fit_linear`.
    """
    model = Model.from_bytes(data, trust="anyone")
    labels = model.manifest.labels
    if model.novelty is None:
        raise ModelError(
            f"found a model without a novelty limit{_schema(model)}, expected a model that notices "
            f"unfamiliar tissue, for which sets promise nothing: make it again with `her2edge quantize`, "
            f"from a run of {FEWEST_SLIDES} slides or more"
        )
    slides, left_out = usable_slides(scored, model)
    truth = np.array([labels.index(slide.label or "") for slide in slides], np.int64)
    counts = dict(zip(labels, np.bincount(truth, minlength=len(labels)).tolist(), strict=True))
    if min(counts.values()) == 0:
        each = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise CohortError(
            f"found assessable slides of these labels: {each}; expected some of each, sets need "
            f"{FEWEST_OF_A_CLASS}"
        )
    means, tops = (_matrix(slides, name, labels) for name in ("means", "top_tenths"))
    rule, chances = (
        (Pooling(slides=0), means) if pooling == "mean" else fit_linear(means, tops, truth, labels)
    )
    known = model.manifest.training_patients
    record = _record(model, slides, truth, chances, rule)
    sets = tuple(
        prediction_set(dict(zip(labels, map(float, row), strict=True)), record.scores, ALPHA)
        for row in chances
    )
    return Calibrated(
        data=_rebuilt(data, model, record, rule),
        record=record,
        pooling=rule,
        slides=slides,
        left_out=left_out,
        sets=sets,
        enough=min(counts.values()) >= FEWEST_OF_A_CLASS,
        unsigned=model.signer is not None,
        checked=known is not UNSET and known.others is UNSET,
    )


def _schema(model: Model) -> str:
    former = model.manifest.converted_from
    return "" if former is UNSET else f" (schema {former})"


def _matrix(slides: tuple[ScoredSlide, ...], name: str, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """A figure of the answers by label, (slides, labels), exactly as the answers have it."""
    values = [getattr(slide.results.answer, name) for slide in slides if slide.results is not None]
    return np.array([[one[label] for label in labels] for one in values], np.float64)


def _record(
    model: Model,
    slides: tuple[ScoredSlide, ...],
    truth: NDArray[np.int64],
    chances: NDArray[np.float64],
    rule: Pooling,
) -> CalibrationSlides:
    own = 1 - chances[np.arange(len(truth)), truth]
    results = [slide.results for slide in slides if slide.results is not None]
    scanners = {one.scanner for one in results} - {None}
    return CalibrationSlides(
        scores={
            label: tuple(sorted(map(float, np.clip(own[truth == k], 0, 1))))
            for k, label in enumerate(model.manifest.labels)
        },
        alpha=ALPHA,
        level=1 - (1 if rule.kind == "mean" else 2) * ALPHA,
        sites=tuple(sorted({shown(slide.row.site) for slide in slides} - {""})),
        scanners=tuple(sorted(str(one) for one in scanners)),
        enlarged=any(one.summary.slide.upsampled for one in results),
        protocol=results[0].protocol,
    )


def _rebuilt(data: bytes, model: Model, record: CalibrationSlides, rule: Pooling) -> bytes:
    members, _ = read_members(data)
    members.pop("signature", None)
    members[CARD] = card_with(model.card, record, rule).encode()
    card = Member(size=len(members[CARD]), sha256=hashlib.sha256(members[CARD]).hexdigest())
    manifest: Manifest = msgspec.structs.replace(
        model.manifest,
        members=model.manifest.members | {CARD: card},
        pooling=rule,
        calibration_slides=record,
    )
    members["manifest.json"] = dump_manifest(manifest)
    new = assemble(model.flatbuffer, members)
    Model.from_bytes(new, trust="anyone")
    return new
