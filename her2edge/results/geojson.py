"""tiles.geojson as QuPath 0.5 and later reads it: tile objects, level-0 pixels, origin top left."""

from __future__ import annotations

import contextlib
import gzip
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from her2edge.answer.votes import kept_out
from her2edge.files import atomic
from her2edge.results.colours import FAILED_COLOUR, LEFT_OUT_COLOUR, Colour
from her2edge.tile import Outcome, TileResult

PLAIN, PACKED = "tiles.geojson", "tiles.geojson.gz"
FAILED = "failed"
_CLASS = "HER2 "  # alone, 2+ and 3+ are QuPath's intensity classes: it would show an H-score of them
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "her2edge")
# Decimals; tiles.csv has more. 0.1 px is 0.03 um at 40x; two runtimes may differ by 0.03 in a probability.
_PIXELS, _CHANCES, _MEASURED = 1, 4, 3
_LEVEL = 6  # of gzip: 9 takes twice as long for 2 % less


def write_geojson(
    path: Path, results: Iterable[TileResult], colours: Mapping[str, Colour], fingerprint: str, notice: str
) -> None:
    """Write classified and failed tiles as one FeatureCollection, a feature per line; gzipped for a .gz.

    colours: by label, in the model's order. A tile that is not pooled keeps the name of its class and has a
    grey of its own; its metadata say why. An object's id is the UUIDv5 of slide fingerprint, level, x and y:
    QuPath notices a second import, and asks. notice: once, a foreign member of the collection (RFC 7946,
    section 6.1), which QuPath leaves aside.
    """
    with atomic(path) as raw, _packing(raw, path) as file:
        said = msgspec.json.encode(notice)
        file.write(b'{"type":"FeatureCollection","notice":' + said + b',"features":[')
        separator = b"\n"
        for result in results:
            if result.outcome in (Outcome.CLASSIFIED, Outcome.FAILED):
                file.write(separator + msgspec.json.encode(_feature(result, colours, fingerprint)))
                separator = b",\n"
        file.write(b"\n]}\n")


def pack_geojson(plain: Path, packed: Path) -> None:
    """Write `packed`, what `write_geojson` would have written; `plain` stays. Raises OutputError."""
    with atomic(packed) as raw, _packing(raw, packed) as file, plain.open("rb") as lines:
        for line in lines:
            file.write(line)


@contextlib.contextmanager
def _packing(raw: BinaryIO, path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """No name and no time in it: equal bytes of equal results, wherever zlib is the same."""
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as file:
        yield file


def class_name(label: str) -> str:
    """The class of a label in QuPath, `HER2 3+`; `her2edge tiles` reads it back as the label."""
    return f"{_CLASS}{label}"


def _feature(result: TileResult, colours: Mapping[str, Colour], fingerprint: str) -> dict[str, Any]:
    left, top = _short(result.x, _PIXELS), _short(result.y, _PIXELS)
    right, bottom = _short(result.x + result.span[0], _PIXELS), _short(result.y + result.span[1], _PIXELS)
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    name, colour = FAILED, FAILED_COLOUR
    if result.label is not None:
        name, colour = class_name(result.label), colours[result.label]
    properties: dict[str, Any] = {"objectType": "tile", "classification": {"name": name, "color": colour}}
    told = {"measurements": _measurements(result, colours), "metadata": _metadata(result)}
    properties |= {name: values for name, values in told.items() if values}
    if result.outcome is Outcome.CLASSIFIED and not result.pooled:
        properties["color"] = LEFT_OUT_COLOUR  # QuPath: an object's own, before that of its class
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{fingerprint}/0/{result.x:.2f}/{result.y:.2f}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }


def _metadata(result: TileResult) -> dict[str, str]:
    """What is wrong with a tile; a classified one that is not left out votes."""
    metadata: dict[str, str] = {}
    if result.outcome is Outcome.CLASSIFIED:
        why = kept_out(result)
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
        chances = zip(labels, result.probabilities, strict=True)
        numbers |= {f"p {label}": _short(float(p), _CHANCES) for label, p in chances}
    measured = {"tissue": result.tissue_fraction, "glass": result.glass_fraction, "novelty": result.novelty}
    return numbers | {name: _short(v, _MEASURED) for name, v in measured.items() if v is not None}


def _short(value: float, decimals: int) -> float | int:
    """At most this many decimals, and no fraction where there is none."""
    rounded = round(value, decimals)
    return int(rounded) if rounded == int(rounded) else rounded
