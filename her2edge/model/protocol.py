"""SlideProtocol: how the tiles of a slide were read and scored, beyond slide and model file.

A calibration keeps that of its slides: its promise is for slides of the same protocol. What computes is no
part of it, but for the precision of sums: at every start the golden tiles hold a runtime to the model's own
outputs; where they were left out, that is a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from her2edge.model.records import Record, Sha256
from her2edge.text import percent, shown

Whole = Annotated[int, Meta(ge=1)]
Places = Literal["whole", "regions", "tiles"]
_PLACES = {"whole": "the whole slide", "tiles": "a folder of tiles"}
_OF_THE_MODEL = ("mode", "profile", "target")  # of how stains are handled


class StoppingRule(Record, frozen=True, kw_only=True):
    """How reading a slide ended early: see `her2edge.answer`. error: chance of another label, 0..1.

    minimum: tissue tiles that are read anyway. max_tiles: places that are read at most.
    """

    error: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    minimum: Whole = 30
    max_tiles: Whole | None = None


class TilesRead(Record, frozen=True, kw_only=True):
    """How tiles became numbers.

    places:    all of the slide's grid, those inside drawn regions, or the pictures of a folder.
    classes:   of the regions; empty: every class.
    stain:     the mode. fits_sha256: of the fits that were given for it; None: the model's own way.
    scale:     um per pixel that the slide was read at over those that its file states, to two digits; 1 also
               where it states none, and for less than 5 %.
    precision: of the sums that the model leaves in float. tested: the golden tiles were run first.
    release:   of her2edge, its first two numbers: another one may read or judge tiles otherwise.
    """

    places: Places = "whole"
    classes: tuple[str, ...] = ()
    stain: str
    fits_sha256: Sha256 | None = None
    scale: Annotated[float, Meta(gt=0)] = 1.0
    precision: str = "f32"
    tested: bool = True
    release: str = ""


class SlideProtocol(Record, frozen=True, kw_only=True):
    """tiles: None: nobody said how they were read. stopping: None: every tile.

    limits_sha256: `Manifest.limits_sha256`. min_tissue_tiles: fewer that vote are too little tissue.
    """

    tiles: TilesRead | None
    stopping: StoppingRule | None = None
    limits_sha256: Sha256
    min_tissue_tiles: Whole


def fits_sha256(stain: Mapping[str, Any]) -> str | None:
    """Of the fits in `TileClassifier.stain`, hex; None where there are none beyond the model file's."""
    given = {name: part for name, part in stain.items() if name not in _OF_THE_MODEL}
    return hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest() if given else None


def stopping_words(rule: StoppingRule | None) -> str:
    """How far slides were read."""
    if rule is None:
        return "every tile"
    most = "" if rule.max_tiles is None else f", at most {rule.max_tiles} tiles"
    return f"until settled (error {percent(rule.error, None)}, at least {rule.minimum} tissue tiles{most})"


def protocol_words(protocol: SlideProtocol) -> dict[str, str]:
    """Each part as people read it, by its name: equal where the protocols are."""
    tiles = protocol.tiles
    return ({"tiles": "not stated"} if tiles is None else _tiles(tiles)) | {
        "read": stopping_words(protocol.stopping),
        "limits": protocol.limits_sha256[:12],
        "fewest tiles that vote": str(protocol.min_tissue_tiles),
    }


def _tiles(tiles: TilesRead) -> dict[str, str]:
    classes = ", ".join(map(shown, tiles.classes)) or "every class"
    fits = "" if tiles.fits_sha256 is None else f" ({tiles.fits_sha256[:12]})"
    return {
        "tiles": _PLACES.get(tiles.places, f"inside regions ({classes})"),
        "stains": f"{shown(tiles.stain.replace('_', '-'))}{fits}",
        "scale": "the file's" if tiles.scale == 1 else f"{tiles.scale:g} times the file's",
        "precision": shown(tiles.precision),
        "self-test": "passed" if tiles.tested else "left out",
        "release": shown(tiles.release) or "not stated",
    }


def differences(theirs: SlideProtocol, ours: SlideProtocol) -> list[str]:
    """`stains slide, here per_tile`, for each part that differs."""
    if theirs == ours:
        return []
    first, second = protocol_words(theirs), protocol_words(ours)
    return [
        f"{name} {first[name]}, here {second[name]}"
        for name in first
        if name in second and first[name] != second[name]
    ]
