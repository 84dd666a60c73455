"""The notice that every output carries."""

from __future__ import annotations

from her2edge.model.file import Model
from her2edge.runtime import DEFAULT, RuntimeUse
from her2edge.tile import RESEARCH_USE

DEMO_NOTICE = "Demo model: trained on synthetic tissue only, it knows nothing of patients."


def notice(model: Model, use: RuntimeUse | None = None) -> str:
    """Research use only; a demo model is called one, and a runtime other than the default one is named."""
    sentences = [RESEARCH_USE]
    if model.manifest.demo:
        sentences.append(DEMO_NOTICE)
    if use is not None and use.name != DEFAULT:
        sentences.append(f"Computed by {use}.")
    return " ".join(sentences)
