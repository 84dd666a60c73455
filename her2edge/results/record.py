"""summary.json, the slide's answer with what it was made from; run.json, when and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from her2edge.answer.summary import SlideSummary
from her2edge.files import atomic
from her2edge.model.file import Model
from her2edge.model.trust import Signer
from her2edge.results.provenance import Provenance
from her2edge.runtime import DEFAULT, RuntimeUse
from her2edge.tile import RESEARCH_USE

DEMO_NOTICE = "Demo model: trained on synthetic tissue only, it knows nothing of patients."


class SlideInfo(msgspec.Struct, frozen=True):
    """The slide as it was read. width, height and step are level-0 pixels; None for a folder of tiles."""

    name: str
    fingerprint: str
    mpp: float | None = msgspec.field(default=None, name="um_per_pixel")
    width: int | None = None
    height: int | None = None
    step: float | None = None
    columns: int | None = None
    rows: int | None = None
    upsampled: bool = False


@dataclass(frozen=True)
class RunInfo:
    """When, where and how fast: outside the promise of equal bytes.

    runtime: what computed, on so many interpreters of so many threads; self_test: what the golden tiles gave.
    signer: whose signature the model carries, and whether this machine trusts its key.
    resumed: results that an interrupted run had left; stage_seconds counts what they took then.
    basis, files: what the results depend on, and the SHA-256 of every other file, hex, by name.
    """

    notice: str
    demo: bool
    started: str
    seconds: float
    host: str
    platform: str
    runtime: RuntimeUse
    threads: int
    interpreters: int
    self_test: str
    versions: dict[str, str]
    stage_seconds: dict[str, float]
    command: list[str]
    resumed: int
    basis: Provenance
    files: dict[str, str]
    signer: Signer | None = None


def notice(model: Model, use: RuntimeUse | None = None) -> str:
    """What every output carries; it names a runtime other than the default one."""
    said = [RESEARCH_USE]
    if model.manifest.demo:
        said.append(DEMO_NOTICE)
    if use is not None and use.name != DEFAULT:
        said.append(f"Computed by {use}.")
    return " ".join(said)


def write_summary(
    path: Path,
    summary: SlideSummary,
    slide: SlideInfo,
    model: Model,
    stain: dict[str, Any],
    runtime: RuntimeUse,
) -> None:
    """Write summary.json: the answer first, then slide, model, runtime and stain."""
    manifest = model.manifest
    record = {
        "notice": notice(model, runtime),
        "demo": manifest.demo,
        "summary": summary,
        "slide": slide,
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "epoch": manifest.epoch,
            "scheme": manifest.scheme,
            "sha256": model.sha256,
            "tile_px": model.tile_px,
            "um_per_pixel": model.mpp,
        },
        "runtime": runtime,
        "stain": stain,
        "tissue": manifest.tissue,
    }
    _write_json(path, record)


def write_run(path: Path, run: RunInfo) -> None:
    """Write run.json; it comes last, so a folder that holds it is complete."""
    _write_json(path, run)


def _write_json(path: Path, record: object) -> None:
    with atomic(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
