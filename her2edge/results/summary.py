"""summary.json: the slide's answer first, then what it was made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from her2edge.answer import SlideSummary
from her2edge.files import write_json
from her2edge.model.file import Model
from her2edge.results.notices import displayed, gate_overridden, notice
from her2edge.results.slide_info import SlideInfo
from her2edge.runtime import RuntimeUse


def write_summary(
    path: Path,
    summary: SlideSummary,
    slide: SlideInfo,
    model: Model,
    stain: dict[str, Any],
    runtime: RuntimeUse,
) -> None:
    """Write summary.json; stain: as `TileClassifier.stain`. Raises OutputError."""
    manifest = model.manifest
    record = {
        "notice": notice(model, runtime),
        "demo": manifest.demo,
        "summary": replace(summary, label=displayed(summary.label, model)),
        "slide": slide,
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "epoch": manifest.epoch,
            "scheme": manifest.scheme,
            "sha256": model.sha256,
            "tile_px": model.tile_px,
            "um_per_pixel": model.mpp,
            "gate_overridden": gate_overridden(model),
        },
        "runtime": runtime,
        "stain": stain,
        "tissue": manifest.tissue,
    }
    write_json(path, record)
