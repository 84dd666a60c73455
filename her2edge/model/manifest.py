"""The manifest of a model file: what the file fixes, typed, checked while it is parsed.

The types are the schema; `her2edge/data/manifest*.schema.json` are generated from them by `make schema`, and
a test holds them together.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from her2edge.errors import ModelError
from her2edge.files import json_bytes, parse_json
from her2edge.model.checks import check_calibration, check_limits, check_novelty, check_pooling, check_quality
from her2edge.model.classes import PAPER_CLASSES, LabelClass, LowDefinition, check_classes
from her2edge.model.manifest_v1 import ManifestV1
from her2edge.model.patients import TrainingPatients
from her2edge.model.records import Common
from her2edge.model.slide_records import (
    AnswerLimits,
    CalibrationSlides,
    DistilledFrom,
    NoveltyRecord,
    Pooling,
    QualityRecord,
)
from her2edge.quality import QualityLimits

SCHEMA: Literal[2] = 2
NOVELTY = "novelty.npz"


class Manifest(Common, frozen=True, kw_only=True):
    """Everything the file fixes.

    classes:   the labels, "labels" in the file; two to four, in the order of severity.
    her2_low:  why a class is called low, or 0 told from 1+; None: none is.
    limits:    of the slide answer. quality: limits of a tile's picture, quality_fit: what they would have
               done to their own tiles. None, in what follows: the file does without, and answers say so.
    novelty:   what the member novelty.npz was fitted on; there where that is.
    pooling, calibration_slides: what `her2edge calibrate` adds; distilled_from: a student's teacher.
    training_patients: whom it learnt from, hashed: none of them may calibrate it. Older files do not say.
    created:   the day, UTC, on which the training of its weights began; not that of the conversion, so that
               the same run gives the same bytes. Older files do not say.
    converted_from: the schema of the file it was read from, where that is an older one.
    """

    schema_version: Literal[2]
    classes: tuple[LabelClass, ...] = msgspec.field(name="labels")
    her2_low: LowDefinition | None = None
    limits: AnswerLimits
    quality: QualityLimits | None = None
    quality_fit: QualityRecord | None = None
    novelty: NoveltyRecord | None = None
    pooling: Pooling | None = None
    calibration_slides: CalibrationSlides | None = None
    distilled_from: DistilledFrom | None = None
    training_patients: TrainingPatients | UnsetType = UNSET
    created: datetime.date | UnsetType = UNSET
    converted_from: Literal[1] | UnsetType = UNSET

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of logits and probabilities."""
        return tuple(one.label for one in self.classes)

    @property
    def limits_sha256(self) -> str:
        """Of all limits that decide which tiles vote and what is said of a slide; 64 hexadecimal digits."""
        novelty = self.members.get(NOVELTY)
        parts = (self.limits, self.quality, self.tissue, self.stain, novelty)
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


class _Version(msgspec.Struct, frozen=True):
    """The one field that says how to read the others."""

    schema_version: int


def parse_manifest(data: bytes) -> Manifest:
    """Read manifest.json of schema 2 or 1; raises ModelError naming the field that is wrong."""
    try:
        former = _decoded(data)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"the model's manifest is not valid: {error}; pack the model again") from error
    manifest = from_v1(former) if isinstance(former, ManifestV1) else former
    _check(manifest)
    return manifest


def _decoded(data: bytes) -> Manifest | ManifestV1:
    version = parse_json(data, _Version).schema_version
    if version not in (1, SCHEMA):
        raise ModelError(
            f"found a manifest of schema {version}, expected 1 or {SCHEMA}: install a newer her2edge, or "
            "have the model packed for this one"
        )
    if version == 1:
        return parse_json(data, ManifestV1)
    return parse_json(data, Manifest)


def _check(manifest: Manifest) -> None:
    """Hold the parts against each other, as types cannot; raises ModelError."""
    check_classes(manifest.classes, manifest.her2_low)
    labels = manifest.labels
    if manifest.logits.shape != (1, len(labels)):
        raise ModelError(f"found logits of shape {manifest.logits.shape}, expected (1, {len(labels)})")
    if manifest.tissue.low > manifest.tissue.high:
        raise ModelError("found tissue.low above tissue.high in the manifest")
    if (manifest.novelty is None) != (NOVELTY not in manifest.members):
        raise ModelError(
            f"found the manifest's novelty or the member {NOVELTY}, expected both or neither; "
            "pack the model again"
        )
    check_limits(manifest.limits, manifest.quality)
    check_novelty(manifest.novelty)
    check_quality(manifest.quality_fit)
    check_pooling(manifest.pooling, len(labels))
    check_calibration(manifest.calibration_slides, manifest.pooling, labels)


def from_v1(former: ManifestV1) -> Manifest:
    """What a manifest of schema 1 fixes, with the paper's labels and limits; it has no more of the rest."""
    fields = {name: getattr(former, name) for name in Common.__struct_fields__}
    return Manifest(
        **fields, schema_version=SCHEMA, classes=PAPER_CLASSES, limits=AnswerLimits(), converted_from=1
    )


def with_epoch(data: bytes, epoch: int) -> bytes:
    """A valid manifest.json with another epoch, in the schema it has."""
    return json_bytes(msgspec.structs.replace(_decoded(data), epoch=epoch), ordered=True)


def dump_manifest(manifest: Manifest) -> bytes:
    """manifest.json: sorted keys, two-space indent, so the same manifest is the same bytes."""
    return json_bytes(manifest, ordered=True)


def manifest_schema(version: Literal[1, 2] = SCHEMA) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of manifest.json, version 1 or 2."""
    header = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"her2edge manifest v{version}",
    }
    return header | msgspec.json.schema(ManifestV1 if version == 1 else Manifest)
