"""What a slide's results depend on, and in what two runs differ."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from her2edge.answer import Settle
from her2edge.regions import RegionPlaces
from her2edge.runtime import RuntimeUse

_EVERY = "every tile, row by row"
_TITLES = {"mpp": "um per pixel", "version": "her2edge version", "undecoded": "places not decoded"}


class ReadInOrder(msgspec.Struct, frozen=True):
    """A slide read in random order until its answer was settled: the order, and the rule as in `Settle`."""

    error: float
    minimum: int
    max_tiles: int | None
    order: str = "blake2b"  # as in `RandomOrder`

    @classmethod
    def of(cls, rule: Settle) -> ReadInOrder:
        return cls(float(rule.error), rule.minimum, rule.max_tiles)

    def __str__(self) -> str:
        most = "" if self.max_tiles is None else f", at most {self.max_tiles} tiles"
        return f"until settled (error {self.error:g}, minimum {self.minimum}{most})"


class Provenance(msgspec.Struct, frozen=True):
    """Where two runs have the same, they have the same results, bit for bit.

    slide, fingerprint: name and content of the slide. mpp: of its level 0; None as in SlideReader.
    step, columns, rows: its grid, step in level-0 pixels; None for a folder of tiles. tiles: how many.
    model: SHA-256 of the model file, hex. runtime, architecture, version: what computes, and her2edge's own.
    stain: as `TileClassifier.stain`, or the mode `slide` alone for a fit that is yet to be made.
    reading: None: every tile, row by row. Else results are kept in that order, as far as it says.
    regions: which places alone are read; None: all. tiles: their number. tested: golden tiles were run first.
    undecoded: the rule by which glass is not decoded; None: every place is.
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
    reading: ReadInOrder | None = None
    regions: RegionPlaces | None = None
    tested: bool = True
    undecoded: str | None = None


def differences(former: Provenance, expected: Provenance) -> list[str]:
    """One line for each field that differs: "runtime: found openvino 2026.4.0, expected litert 2.3.0"."""
    names = Provenance.__struct_fields__
    pairs = ((name, getattr(former, name), getattr(expected, name)) for name in names)
    return [
        f"{_TITLES.get(name, name)}: found {_brief(name, one)}, expected {_brief(name, other)}"
        for name, one, other in pairs
        if one != other
    ]


def _brief(name: str, value: object) -> str:
    """A hash by its first 12 digits; a stain by its mode and, where there is more to it, a hash of that."""
    if isinstance(value, dict):
        rest = {key: part for key, part in value.items() if key != "mode"}
        digest = hashlib.sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()
        return f"{value.get('mode')}" + (f" ({digest[:12]})" if rest else "")
    if value is None and name == "regions":
        return "the whole slide"
    if value is None and name == "undecoded":
        return "none, every place is decoded"
    text = _EVERY if value is None and name == "reading" else str(value)
    return text[:12] if len(text) == 64 else text
