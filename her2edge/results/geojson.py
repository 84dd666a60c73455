"""tiles.geojson as QuPath 0.5 and later reads it: tile objects, level-0 pixels, origin top left."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from her2edge.files import atomic
from her2edge.tile import LABELS, Outcome, TileResult

# ColorBrewer RdYlBu, told apart with colour-blind eyes as well.
COLORS = {"0/1+": (69, 117, 180), "2+": (253, 174, 97), "3+": (215, 48, 39)}
FAILED = "failed"
_CLASS = "HER2 "  # alone, 2+ and 3+ are QuPath's intensity classes: it would show an H-score of them
FAILED_COLOR = (90, 90, 90)
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "her2edge")


def write_geojson(path: Path, results: Iterable[TileResult], fingerprint: str, notice: str) -> None:
    """Write classified and failed tiles as one FeatureCollection, a feature per line.

    An object's id is the UUIDv5 of slide fingerprint, level, x and y: importing again makes no twins.
    """
    with atomic(path) as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        separator = b"\n"
        for result in results:
            if result.outcome in (Outcome.CLASSIFIED, Outcome.FAILED):
                file.write(separator + msgspec.json.encode(_feature(result, fingerprint, notice)))
                separator = b",\n"
        file.write(b"\n]}\n")


def class_name(label: str) -> str:
    """The class of a label in QuPath, `HER2 3+`; `her2edge tiles` reads it back as the label."""
    return f"{_CLASS}{label}"


def _feature(result: TileResult, fingerprint: str, notice: str) -> dict[str, Any]:
    left, top = _number(result.x), _number(result.y)
    right, bottom = _number(result.x + result.span[0]), _number(result.y + result.span[1])
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    name, color = FAILED, FAILED_COLOR
    if result.label is not None:
        name, color = class_name(result.label), COLORS[result.label]
    metadata = {"her2edge": notice}
    if result.error:
        metadata["error"] = result.error
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{fingerprint}/0/{result.x:.2f}/{result.y:.2f}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "tile",
            "classification": {"name": name, "color": color},
            "measurements": _measurements(result),
            "metadata": metadata,
        },
    }


def _measurements(result: TileResult) -> dict[str, float]:
    numbers: dict[str, float] = {}
    if result.probabilities is not None:
        numbers |= {
            f"p {label}": round(float(p), 6) for label, p in zip(LABELS, result.probabilities, strict=True)
        }
    if result.tissue_fraction is not None:
        numbers["tissue fraction"] = round(result.tissue_fraction, 6)
    return numbers


def _number(value: float) -> float | int:
    """Two decimals, and no fraction where there is none."""
    rounded = round(value, 2)
    return int(rounded) if rounded == int(rounded) else rounded
