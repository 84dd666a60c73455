"""What a model file says of itself beside its FlatBuffer."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from importlib import metadata

from msgspec import UNSET, UnsetType

from her2edge.model.classes import PAPER_CLASSES, LabelClass, LowDefinition
from her2edge.model.patients import TrainingPatients
from her2edge.model.records import Calibration, Packing, Scheme, Stain, StainTarget, Tissue, Training, Verdict
from her2edge.model.slide_records import AnswerLimits, DistilledFrom, NoveltyRecord, QualityRecord
from her2edge.quality import QualityLimits
from her2edge.stain import StainFit

TOOLS = ("ai-edge-litert", "her2edge", "keras", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the manifest says that the FlatBuffer does not; fields as in `her2edge.model.manifest`.

    novelty: what the member novelty.npz was fitted on; `pack` takes that member beside it.
    learnt: what the weights went through after training, a sentence of the card, or "".
    """

    name: str
    version: str
    demo: bool
    architecture: str
    scheme: Scheme
    mpp: float
    stain: Stain
    tissue: Tissue
    calibration: Calibration | None
    training: Training
    metrics: dict[str, float]
    tools: dict[str, str]
    packing: Packing | UnsetType = UNSET
    float_layers: tuple[str, ...] = ()
    learnt: str = ""
    classes: tuple[LabelClass, ...] = PAPER_CLASSES
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    quality: QualityLimits | None = None
    quality_fit: QualityRecord | None = None
    novelty: NoveltyRecord | None = None
    training_patients: TrainingPatients | UnsetType = UNSET
    created: datetime.date | UnsetType = UNSET
    her2_low: LowDefinition | None = None
    temperature: float = 1.0
    gate: Verdict | None = None
    distilled_from: DistilledFrom | None = None


def stain_target(fit: StainFit) -> StainTarget:
    """A fit as the manifest holds it."""
    first, second, third = ((float(h), float(e)) for h, e in fit.stain_matrix)
    strongest = float(fit.max_concentration[0]), float(fit.max_concentration[1])
    return StainTarget(stain_matrix=(first, second, third), max_concentration=strongest)


def tool_versions(more: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of the installed packages that make a model, and of `more`."""
    versions = {}
    for package in sorted((*TOOLS, *more)):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
