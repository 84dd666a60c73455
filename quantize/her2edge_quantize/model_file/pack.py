"""A model file from its parts: FlatBuffer, then a ZIP whose comment is the SHA-256 of all before it.

The same input gives the same bytes: members are stored (not deflated), sorted, with fixed dates and
permissions. What is written is what `her2edge.Model` has verified.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.files import atomic
from her2edge.model.file import REQUIRED, Golden, Head, Model
from her2edge.model.manifest import (
    Calibration,
    GoldenOrigin,
    Input,
    Manifest,
    Member,
    Packing,
    Scheme,
    Stain,
    StainTarget,
    Tissue,
    Training,
    Verdict,
    dump_manifest,
)
from her2edge.runtime import RUNTIMES, LiteRTRuntime, read_tensors
from her2edge.runtime.machine import architecture
from her2edge.stain import StainFit
from her2edge.tile import LABELS, RESEARCH_USE, Pixels

EPOCH = 1
DATE = (1980, 1, 1, 0, 0, 0)  # the oldest a ZIP can say
PERMISSIONS = 0o100644 << 16  # an ordinary file, rw-r--r--
UNIX = 3
GOLDEN_RUNTIME = "litert"
TOOLS = ("ai-edge-litert", "her2edge", "keras", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the manifest says that the FlatBuffer does not; fields as in `her2edge.model.manifest`."""

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
    temperature: float = 1.0
    gate: Verdict | None = None


def pack(flatbuffer: bytes, description: Description, head: Head, golden_tiles: Pixels, card: str) -> bytes:
    """Return the bytes of a verified model file.

    golden_tiles: (n, tile_px, tile_px, 3) uint8 RGB synthetic network inputs, never a patient's pixels;
                  their expected logits are computed here, by the SDK's own runtime.
    Raises ModelError where the parts do not belong together.
    """
    if zipfile.is_zipfile(io.BytesIO(flatbuffer)):
        raise ModelError(
            "found a file with a ZIP appended, expected a plain FlatBuffer: it is packed already"
        )
    golden_logits = np.empty((0, len(LABELS)), dtype=np.float32)
    if golden_tiles.ndim != 4 or golden_tiles.dtype != np.uint8 or len(golden_tiles) == 0:
        raise ModelError(f"found golden tiles {golden_tiles.shape}, expected (n, tile_px, tile_px, 3) uint8")
    draft = _build(flatbuffer, description, head, Golden(golden_tiles[:0], golden_logits), card)
    runtime = LiteRTRuntime(Model.from_bytes(draft, trust="anyone"), threads=1)
    golden_logits = np.stack([runtime.logits(tile) for tile in golden_tiles])
    data = _build(flatbuffer, description, head, Golden(golden_tiles, golden_logits), card)
    LiteRTRuntime(Model.from_bytes(data, trust="anyone"), threads=1)
    return data


def stain_target(fit: StainFit) -> StainTarget:
    """A fit as the manifest holds it."""
    first, second, third = ((float(h), float(e)) for h, e in fit.stain_matrix)
    strongest = float(fit.max_concentration[0]), float(fit.max_concentration[1])
    return StainTarget(stain_matrix=(first, second, third), max_concentration=strongest)


def tool_versions(more: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of the installed packages that make a model, and of `more`."""
    found = {}
    for package in sorted((*TOOLS, *more)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_model(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a model file that is whole or not there; verified before anything is written.

    Raises ModelError for bytes that are no model, OutputError where the file cannot be written.
    """
    Model.from_bytes(data, trust="anyone")
    path = Path(path)
    with atomic(path) as file:
        file.write(data)
    return path


def _build(flatbuffer: bytes, about: Description, head: Head, golden: Golden, card: str) -> bytes:
    members = {
        "labels.txt": ("\n".join(LABELS) + "\n").encode(),
        "head.npz": _npz({"w1": head.w1, "b1": head.b1, "w2": head.w2, "b2": head.b2}),
        "golden.npz": _npz({"tiles": golden.tiles, "logits": golden.logits}),
        "MODEL_CARD.md": card.encode(),
    }
    members["manifest.json"] = dump_manifest(_manifest(flatbuffer, about, members))
    if set(members) != set(REQUIRED):
        raise ModelError(f"found members {sorted(members)}, expected {sorted(REQUIRED)}")
    return assemble(flatbuffer, members)


def assemble(flatbuffer: bytes, members: Mapping[str, bytes]) -> bytes:
    """A model file's bytes from its FlatBuffer and its members by name; nothing is verified here."""
    file = io.BytesIO()
    file.write(flatbuffer)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.comment = b"0" * 64
        _store(archive, members)
    body = file.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def _manifest(flatbuffer: bytes, about: Description, members: Mapping[str, bytes]) -> Manifest:
    tensors = read_tensors(flatbuffer)
    return Manifest(
        schema_version=1,
        name=about.name,
        version=about.version,
        epoch=EPOCH,
        demo=about.demo,
        intended_use=RESEARCH_USE,
        architecture=about.architecture,
        scheme=about.scheme,
        labels=LABELS,
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
        golden_origin=GoldenOrigin(
            runtime=GOLDEN_RUNTIME,
            version=RUNTIMES[GOLDEN_RUNTIME].version or "unknown",
            architecture=architecture(),
        ),
    )


def _member(data: bytes) -> Member:
    return Member(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What numpy.savez writes, with fixed dates."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        members = {}
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            members[f"{name}.npy"] = stream.getvalue()
        _store(archive, members)
    return file.getvalue()


def _store(archive: zipfile.ZipFile, members: Mapping[str, bytes]) -> None:
    for name in sorted(members):
        info = zipfile.ZipInfo(name, DATE)
        info.create_system, info.external_attr = UNIX, PERMISSIONS
        archive.writestr(info, members[name])
