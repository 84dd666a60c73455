"""tiles.geojson as QuPath 0.5 and later reads it: tile objects, level-0 pixels, origin top left."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from her2edge.answer.votes import kept_out
from her2edge.files import atomic
from her2edge.results.colours import FAILED_COLOUR, LEFT_OUT_COLOUR, Colour
from her2edge.tile import Outcome, TileResult

FAILED = "failed"
_CLASS = "HER2 "  # alone, 2+ and 3+ are QuPath's intensity classes: it would show an H-score of them
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "her2edge")


def write_geojson(
    path: Path, results: Iterable[TileResult], colours: Mapping[str, Colour], fingerprint: str, notice: str
) -> None:
    """Write classified and failed tiles as one FeatureCollection, a feature per line.

    colours: by label, in the model's order. A tile that is not pooled keeps the name of its class and has a
    grey of its own; its metadata say why. An object's id is the UUIDv5 of slide fingerprint, level, x and y:
    QuPath notices a second import, and asks.
    """
    with atomic(path) as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        separator = b"\n"
        for result in results:
            if result.outcome in (Outcome.CLASSIFIED, Outcome.FAILED):
                file.write(separator + msgspec.json.encode(_feature(result, colours, fingerprint, notice)))
                separator = b",\n"
        file.write(b"\n]}\n")


def class_name(label: str) -> str:
    """The class of a label in QuPath, `HER2 3+`; `her2edge tiles` reads it back as the label."""
    return f"{_CLASS}{label}"


def _feature(
    result: TileResult, colours: Mapping[str, Colour], fingerprint: str, notice: str
) -> dict[str, Any]:
    left, top = _number(result.x), _number(result.y)
    right, bottom = _number(result.x + result.span[0]), _number(result.y + result.span[1])
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    name, colour = FAILED, FAILED_COLOUR
    if result.label is not None:
        name, colour = class_name(result.label), colours[result.label]
    properties: dict[str, Any] = {
        "objectType": "tile",
        "classification": {"name": name, "color": colour},
        "measurements": _measurements(result, colours),
        "metadata": _metadata(result, notice),
    }
    if result.outcome is Outcome.CLASSIFIED and not result.pooled:
        properties["color"] = LEFT_OUT_COLOUR  # QuPath: an object's own, before that of its class
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{fingerprint}/0/{result.x:.2f}/{result.y:.2f}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }


def _metadata(result: TileResult, notice: str) -> dict[str, str]:
    metadata = {"her2edge": notice}
    if result.outcome is Outcome.CLASSIFIED:
        why = kept_out(result)
        metadata["pooled"] = "yes" if why is None else "no"
        if why is not None:
            metadata["left out"] = why
    if result.quality:
        metadata["quality"] = " ".join(result.quality)
    if result.error:
        metadata["error"] = result.error
    return metadata


def _measurements(result: TileResult, labels: Iterable[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    if result.probabilities is not None:
        numbers |= {
            f"p {label}": round(float(p), 6) for label, p in zip(labels, result.probabilities, strict=True)
        }
    for name in ("tissue_fraction", "glass_fraction", "novelty"):
        value = getattr(result, name)
        if value is not None:
            numbers[name.replace("_", " ")] = round(value, 6)
    return numbers


def _number(value: float) -> float | int:
    """Two decimals, and no fraction where there is none."""
    rounded = round(value, 2)
    return int(rounded) if rounded == int(rounded) else rounded
