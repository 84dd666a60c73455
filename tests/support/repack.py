"""Model files with right hashes and anything inside, made from the tiny int8 one."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tiny
from numpy.typing import ArrayLike

from her2edge import Model

DATA = tiny.INT8.read_bytes()
FLATBUFFER = Model.from_bytes(DATA).flatbuffer


def members(data: bytes = DATA) -> dict[str, bytes]:
    """The parts of a model file by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(
    parts: Mapping[str, bytes],
    flatbuffer: bytes = FLATBUFFER,
    compression: int = zipfile.ZIP_STORED,
    restate: bool = True,
) -> bytes:
    """A file as `pack` makes it, of any parts, its hashes right."""
    parts = dict(parts)
    if restate:
        manifest = json.loads(parts["manifest.json"])
        manifest["flatbuffer"] = entry(flatbuffer)
        manifest["members"] = {name: entry(data) for name, data in parts.items() if name != "manifest.json"}
        parts["manifest.json"] = json.dumps(manifest).encode()
    file = io.BytesIO()
    file.write(flatbuffer)
    with zipfile.ZipFile(file, "a", compression) as archive:
        archive.comment = b"0" * 64
        for name, data in parts.items():
            archive.writestr(name, data)
    body = file.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def entry(data: bytes) -> dict[str, int | str]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def edited(data: bytes = DATA, **changes: Any) -> dict[str, bytes]:
    """All parts, with fields of the manifest replaced; a dotted name goes one level down."""
    parts = members(data)
    manifest = json.loads(parts["manifest.json"])
    for name, value in changes.items():
        *above, last = name.split("__")
        record = manifest[above[0]] if above else manifest
        record[last] = value
    return parts | {"manifest.json": json.dumps(manifest).encode()}


def golden(data: bytes = DATA, tiles: ArrayLike | None = None, logits: ArrayLike | None = None) -> bytes:
    """golden.npz, with other tiles or logits where given."""
    own = Model.from_bytes(data).golden
    return npz(tiles=own.tiles if tiles is None else tiles, logits=own.logits if logits is None else logits)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
