"""The notice that every output carries."""

from __future__ import annotations

from msgspec import UNSET

from her2edge.model.classes import DEMO_REMARK
from her2edge.model.file import Model
from her2edge.runtime import DEFAULT, RuntimeUse
from her2edge.tile import RESEARCH_USE

OVERRIDDEN_NOTICE = (
    "Gate overridden: this model loses more, compared with its float32 network, than the gate allows, but "
    "was written anyway."
)
DEMO_NOTICE = "Demo model: trained on synthetic tissue only, it knows nothing of patients."


def notice(model: Model, use: RuntimeUse | None = None) -> str:
    """Research use only; a demo model and one whose gate was overridden are called so, and a runtime other
    than the default one is named."""
    sentences = [RESEARCH_USE]
    if model.manifest.demo:
        sentences.append(DEMO_NOTICE)
    if gate_overridden(model):
        sentences.append(OVERRIDDEN_NOTICE)
    if use is not None and use.name != DEFAULT:
        sentences.append(f"Computed by {use}.")
    return " ".join(sentences)


def model_line(model: Model) -> str:
    """Which model computed: name, version, scheme, epoch, the first 12 digits of its file's SHA-256, and its
    date where it has one."""
    manifest = model.manifest
    return (
        f"Model: {manifest.name} {manifest.version}, {manifest.scheme}, epoch {manifest.epoch}, "
        f"SHA-256 {model.sha256[:12]}"
    ) + ("" if manifest.created is UNSET else f", trained {manifest.created}")


def gate_overridden(model: Model) -> bool:
    """Whether the gate refused the model, and whoever converted it accepted the loss."""
    gate = model.manifest.gate
    return gate is not None and gate.accepted_loss


def displayed(label: str, model: Model) -> str:
    """A slide's label as people and programs get it in writing: a demo model's is `3+ (demo model)`.

    Labels of tiles stay plain, in every file, and so do those of Python's results.
    """
    return f"{label}{DEMO_REMARK}" if model.manifest.demo and label in model.manifest.labels else label


def plain(label: str) -> str:
    """The label that `displayed` was given."""
    return label.removesuffix(DEMO_REMARK)
