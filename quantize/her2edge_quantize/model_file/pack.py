"""A model file from its parts; what is written is what `her2edge.Model` has verified."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from her2edge.errors import ModelError
from her2edge.files import write_bytes
from her2edge.model.file import Golden, Head, Model
from her2edge.model.manifest import NOVELTY, SCHEMA, Manifest, dump_manifest
from her2edge.model.novelty import Novelty
from her2edge.model.records import GoldenOrigin, Input, Member
from her2edge.runtime import RUNTIMES, open_runtime, read_tensors
from her2edge.runtime.machine import architecture
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_quantize.model_file.archive import assemble, npz
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.novelty import novelty_bytes

EPOCH = 1
GOLDEN_RUNTIME = "litert"


def pack(
    flatbuffer: bytes,
    description: Description,
    head: Head,
    golden_tiles: Pixels,
    card: str,
    novelty: Novelty | None = None,
) -> bytes:
    """Return the bytes of a verified model file; the same parts give the same bytes.

    golden_tiles: (n, tile_px, tile_px, 3) uint8 RGB synthetic network inputs, never a patient's pixels;
                  their expected logits are computed here, by the SDK's own runtime.
    novelty:      whose record the description holds.
    Raises ModelError where the parts do not belong together.
    """
    if zipfile.is_zipfile(io.BytesIO(flatbuffer)):
        raise ModelError(
            "found a file with a ZIP appended, expected a plain FlatBuffer: it is packed already"
        )
    golden_logits = np.empty((0, len(description.classes)), dtype=np.float32)
    if golden_tiles.ndim != 4 or golden_tiles.dtype != np.uint8 or len(golden_tiles) == 0:
        raise ModelError(f"found golden tiles {golden_tiles.shape}, expected (n, tile_px, tile_px, 3) uint8")
    draft = _build(flatbuffer, description, head, Golden(golden_tiles[:0], golden_logits), card, novelty)
    runtime = open_runtime(GOLDEN_RUNTIME, Model.from_bytes(draft, trust="anyone"), 1)
    golden_logits = np.stack([runtime.logits(tile) for tile in golden_tiles])
    data = _build(flatbuffer, description, head, Golden(golden_tiles, golden_logits), card, novelty)
    open_runtime(GOLDEN_RUNTIME, Model.from_bytes(data, trust="anyone"), 1)
    return data


def write_model(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a model file that is whole or not there; verified before anything is written.

    Raises ModelError for bytes that are no model, OutputError where the file cannot be written.
    """
    Model.from_bytes(data, trust="anyone")
    path = Path(path)
    write_bytes(path, data)
    return path


def _build(
    flatbuffer: bytes, about: Description, head: Head, golden: Golden, card: str, novelty: Novelty | None
) -> bytes:
    members = {
        "labels.txt": "".join(f"{one.label}\n" for one in about.classes).encode(),
        "head.npz": npz({"w1": head.w1, "b1": head.b1, "w2": head.w2, "b2": head.b2}),
        "golden.npz": npz({"tiles": golden.tiles, "logits": golden.logits}),
        "MODEL_CARD.md": card.encode(),
    }
    if novelty is not None:
        members[NOVELTY] = novelty_bytes(novelty)
    members["manifest.json"] = dump_manifest(_manifest(flatbuffer, about, members))
    return assemble(flatbuffer, members)


def _manifest(flatbuffer: bytes, about: Description, members: Mapping[str, bytes]) -> Manifest:
    tensors = read_tensors(flatbuffer)
    return Manifest(
        schema_version=SCHEMA,
        name=about.name,
        version=about.version,
        epoch=EPOCH,
        demo=about.demo,
        intended_use=RESEARCH_USE,
        architecture=about.architecture,
        scheme=about.scheme,
        classes=about.classes,
        limits=about.limits,
        quality=about.quality,
        novelty=about.novelty,
        quality_fit=about.quality_fit,
        training_patients=about.training_patients,
        created=about.created,
        her2_low=about.her2_low,
        input=Input(
            tile_px=tensors.tile_px,
            mpp=about.mpp,
            scale=tensors.scale,
            zero_point=tensors.zero_point,
            packing=about.packing,
        ),
        logits=tensors.logits,
        features=tensors.features,
        temperature=about.temperature,
        stain=about.stain,
        tissue=about.tissue,
        calibration=about.calibration,
        training=about.training,
        metrics=dict(about.metrics),
        tools=dict(about.tools),
        flatbuffer=_member(flatbuffer),
        members={name: _member(data) for name, data in members.items()},
        float_layers=about.float_layers,
        gate=about.gate,
        distilled_from=about.distilled_from,
        golden_origin=_origin(),
    )


def _origin() -> GoldenOrigin:
    """What computes the golden logits here."""
    version = RUNTIMES[GOLDEN_RUNTIME].version or "unknown"
    return GoldenOrigin(runtime=GOLDEN_RUNTIME, version=version, architecture=architecture())


def _member(data: bytes) -> Member:
    return Member(size=len(data), sha256=hashlib.sha256(data).hexdigest())
