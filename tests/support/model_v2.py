"""Small models of schema 2, with novelty and quality limits: `TINY[n]` are 64 px models of n labels.

See make_tiny_model.py.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from her2edge import Model
from her2edge.model.manifest import Manifest
from her2edge.model.novelty import Novelty
from her2edge.model.slide_records import NoveltyRecord
from her2edge.quality import QualityLimits
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.pack import pack

DATA = Path(__file__).resolve().parents[1] / "data"
TINY = {labels: DATA / f"tiny-{labels}-labels.tflite" for labels in (2, 3, 4)}


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
