"""Damage behind a model's hash: a part is changed, and every hash over it made right again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from mutants import mutate
from repack import FLATBUFFER, members, packed

from her2edge import Model, Options, TileClassifier

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, -1e308, 2**63, 10**400, "", "\u202e\0\n", "a" * 10_000, [], {}, [[]] * 100, 0.5,
)  # fmt: skip
PARTS = ("flatbuffer", "archive", "manifest.json", "labels.txt", "head.npz", "golden.npz", "MODEL_CARD.md")
_TILE = tiny.tissue(1)[0]
_WHOLE = members()
_FILE = packed(_WHOLE)


def damaged(part: str, random: np.random.Generator) -> bytes:
    """The tiny model with one part damaged."""
    if part == "flatbuffer":
        return packed(_WHOLE, mutate(FLATBUFFER, random))
    if part == "archive":  # what names and places the members
        body = mutate(_FILE[len(FLATBUFFER) : -64], random)
        body = FLATBUFFER + body
        return body + hashlib.sha256(body).hexdigest().encode()
    way = random.random() < 0.5
    if part == "manifest.json":
        stated = members(_FILE)[part]
        data = _other_value(stated, random) if way else mutate(stated, random)
        return packed(_WHOLE | {part: data}, restate=False)
    if part.endswith(".npz") and way:
        return packed(_WHOLE | {part: _other_array(_WHOLE[part], random)})
    return packed(_WHOLE | {part: mutate(_WHOLE[part], random)})


def _other_value(manifest: bytes, random: np.random.Generator) -> bytes:
    """One value of the manifest, however deep, is another; JSON it stays."""
    record = json.loads(manifest)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(record)
    node, key = places[int(random.integers(len(places)))]
    if random.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = ODD[int(random.integers(len(ODD)))]
    return json.dumps(record).encode()


def _other_array(npz: bytes, random: np.random.Generator) -> bytes:
    """One array of an .npz, its header above all, is damaged; the archive around it is whole."""
    with zipfile.ZipFile(io.BytesIO(npz)) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    name = list(arrays)[int(random.integers(len(arrays)))]
    header, rest = arrays[name][:128], arrays[name][128:]
    arrays[name] = mutate(header, random) + rest if random.random() < 0.8 else header + mutate(rest, random)
    file = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if random.random() < 0.5 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in arrays.items():
            archive.writestr(name, data)
    return file.getvalue()


def load_and_use(part: str) -> Callable[[Path], object]:
    """Load the model; where nothing of the FlatBuffer has changed, classify and explain a tile as well.

    A FlatBuffer is a program and its interpreter C++, which damaged ones may end: it is not asked.
    """

    def use(path: Path) -> None:
        model = Model.load(path, trust="anyone")
        if part not in ("flatbuffer", "labels.txt", "MODEL_CARD.md") and model.flatbuffer == FLATBUFFER:
            classifier = TileClassifier(model, Options(threads=1))
            classifier.classify(_TILE)
            classifier.explain(_TILE)

    return use
