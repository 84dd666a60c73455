"""summary.json, schema 2: the slide's answer first, then what it was made from.

The types below are the schema; `her2edge/data/summary.schema.json` is generated from them by
`python -m her2edge.results.schema`, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from her2edge.answer import SlideAnswer
from her2edge.files import write_json
from her2edge.model.file import Model
from her2edge.model.records import Scheme, Tissue
from her2edge.regions import RegionsRead
from her2edge.results.notices import displayed, gate_overridden, notice, plain
from her2edge.results.slide_info import SlideInfo
from her2edge.results.stain_strength import StainStrength
from her2edge.runtime import RuntimeUse


class SummaryModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model that computed; tile_px: side of a tile, pixels; mpp: its um per pixel."""

    name: str
    version: str
    epoch: int
    scheme: Scheme
    sha256: str
    tile_px: int
    mpp: float = msgspec.field(name="um_per_pixel")
    gate_overridden: bool


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What summary.json holds; stain: as `TileClassifier.stain`. stain_strength: None where no tile that
    votes has a fit of its own. regions: where alone tiles were read; None: the whole slide.
    undecoded: the rule by which glass was not decoded; None: every place was.
    """

    answer: SlideAnswer
    schema_version: Literal[2]
    notice: str
    demo: bool
    slide: SlideInfo
    model: SummaryModel
    runtime: RuntimeUse
    stain: dict[str, Any]
    stain_strength: StainStrength | None
    tissue: Tissue
    regions: RegionsRead | None
    undecoded: str | None = None


def write_summary(
    path: Path,
    answer: SlideAnswer,
    slide: SlideInfo,
    model: Model,
    stain: dict[str, Any],
    runtime: RuntimeUse,
    strength: StainStrength | None = None,
    regions: RegionsRead | None = None,
    undecoded: str | None = None,
) -> None:
    """Write summary.json; stain: as `TileClassifier.stain`. Raises OutputError."""
    manifest = model.manifest
    summary = Summary(
        answer=named(answer, model),
        schema_version=2,
        notice=notice(model, runtime),
        demo=manifest.demo,
        slide=slide,
        model=SummaryModel(
            name=manifest.name,
            version=manifest.version,
            epoch=manifest.epoch,
            scheme=manifest.scheme,
            sha256=model.sha256,
            tile_px=model.tile_px,
            mpp=model.mpp,
            gate_overridden=gate_overridden(model),
        ),
        runtime=runtime,
        stain=stain,
        stain_strength=strength,
        tissue=manifest.tissue,
        regions=regions,
        undecoded=undecoded,
    )
    write_json(path, summary)


def named(answer: SlideAnswer, model: Model) -> SlideAnswer:
    """The answer as people and programs get it in writing: its labels as `displayed`."""
    return replace(answer, labels=tuple(displayed(label, model) for label in answer.labels))


def unnamed(answer: SlideAnswer) -> SlideAnswer:
    """The answer that `named` was given."""
    return replace(answer, labels=tuple(map(plain, answer.labels)))


def summary_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of summary.json, version 2."""
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "her2edge summary v2"}
    return header | msgspec.json.schema(Summary)
