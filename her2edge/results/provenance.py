"""What a slide's results depend on, and in what two runs differ."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from her2edge.runtime import RuntimeUse

_TITLES = {"mpp": "um per pixel", "version": "her2edge version"}


class Provenance(msgspec.Struct, frozen=True):
    """Where two runs have the same, they have the same results, bit for bit.

    slide, fingerprint: name and content of the slide. mpp: of its level 0; None as in SlideReader.
    step, columns, rows: its grid, step in level-0 pixels; None for a folder of tiles. tiles: how many.
    model: SHA-256 of the model file, hex. runtime, architecture, version: what computes, and her2edge's own.
    stain: as `TileClassifier.stain`, or the mode `slide` alone for a fit that is yet to be made.
    """

    slide: str
    fingerprint: str
    mpp: float | None = msgspec.field(name="um_per_pixel")
    step: float | None
    columns: int | None
    rows: int | None
    tiles: int
    model: str
    runtime: RuntimeUse
    architecture: str
    version: str
    stain: dict[str, Any]


def differences(former: Provenance, expected: Provenance) -> list[str]:
    """One line for each field that differs: "runtime: found openvino 2026.4.0, expected litert 2.3.0"."""
    names = Provenance.__struct_fields__
    pairs = ((name, getattr(former, name), getattr(expected, name)) for name in names)
    return [
        f"{_TITLES.get(name, name)}: found {_brief(one)}, expected {_brief(other)}"
        for name, one, other in pairs
        if one != other
    ]


def _brief(value: object) -> str:
    """A hash by its first 12 digits; a stain by its mode and, where there is more to it, a hash of that."""
    if isinstance(value, dict):
        rest = {key: part for key, part in value.items() if key != "mode"}
        digest = hashlib.sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()
        return f"{value.get('mode')}" + (f" ({digest[:12]})" if rest else "")
    text = str(value)
    return text[:12] if len(text) == 64 else text
