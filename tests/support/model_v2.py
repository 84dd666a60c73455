"""Models of schema 2, with novelty and quality limits, until the embedded demo is one.

`model_v2()` is the embedded demo's network with the novelty limit that `benchmarks/novelty.py --keep
tests/data` fitted on synthetic tissue; `TINY[n]` are 64 px models of n labels, see make_tiny_model.py.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from her2edge import Model
from her2edge.model.manifest import Manifest
from her2edge.model.novelty import Novelty, read_novelty
from her2edge.model.slide_records import NoveltyRecord
from her2edge.quality import QualityLimits
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.pack import pack

DATA = Path(__file__).resolve().parents[1] / "data"
TINY = {labels: DATA / f"tiny-{labels}-labels.tflite" for labels in (2, 3, 4)}
NOVELTY, RECORD = DATA / "demo-novelty.npz", DATA / "demo-novelty.json"


class Kept(msgspec.Struct, frozen=True):
    """demo-novelty.json: of which model, and the manifest's record."""

    model_sha256: str
    record: NoveltyRecord


@cache
def model_v2() -> Model:
    """The embedded demo model as one of schema 2; a second the first time, then the same object."""
    return Model.from_bytes(model_v2_bytes(), trust="anyone")


@cache
def model_v2_bytes() -> bytes:
    """Its model file."""
    demo = Model.demo(trust="anyone")
    kept = msgspec.json.decode(RECORD.read_bytes(), type=Kept)
    if kept.model_sha256 != demo.sha256:
        raise AssertionError(
            "tests/data/demo-novelty.* are of another demo: run benchmarks/novelty.py --keep"
        )
    channels, labels = demo.manifest.features.shape[-1], len(demo.manifest.labels)
    return repacked(demo, read_novelty(NOVELTY.read_bytes(), channels, labels), kept.record)


@cache
def tiny_v2(labels: int = 3) -> Model:
    """The tiny model of two, three or four labels."""
    return Model.load(TINY[labels], trust="anyone")


def repacked(model: Model, novelty: Novelty, record: NoveltyRecord) -> bytes:
    """The model file of the same network with these novelty and the default quality limits."""
    fields = {name: getattr(model.manifest, name) for name in _shared()}
    about = Description(
        **fields, mpp=model.mpp, packing=model.manifest.input.packing, quality=QualityLimits(), novelty=record
    )
    return pack(model.flatbuffer, about, model.head, model.golden.tiles, model.card, novelty)


def _shared() -> set[str]:
    """Fields that manifest and description call by one name, but for the limits."""
    return set(Manifest.__struct_fields__) & set(Description.__dataclass_fields__) - {"quality", "novelty"}
