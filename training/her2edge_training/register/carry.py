"""Shapes carried from one slide to the other: GeoJSON in, the same GeoJSON with other coordinates out."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

from her2edge.files import foreign, parse_json
from her2edge.regions.unpack import read_export
from her2edge_training.register.errors import CarryError
from her2edge_training.register.rigid import Matrix

# How many lists are around a position (RFC 7946, section 3.1).
_DEPTHS = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
}  # fmt: skip
_PARTS = {
    "Feature": ("geometry", "nucleusGeometry"), "FeatureCollection": ("features",),
    "GeometryCollection": ("geometries",),
}  # fmt: skip
# What another turn makes false: RFC 7946's bounding box; QuPath's mark of an ellipse along the axes.
_STALE = ("bbox", "isEllipse")
_LIMIT = 64 << 20  # bytes
_MOST_LISTS = 1_500_000  # a position is one
_ADVICE = "export the objects from QuPath as GeoJSON again"


def read_shapes(path: Path) -> Any:
    """A GeoJSON file, plain or packed (.gz, .zip), as plain lists and dicts.

    Raises MissingInputError; CarryError where it is no JSON or has more positions than fit into memory.
    """
    data = read_export(path, CarryError, _LIMIT)
    if data.count(b"[") > _MOST_LISTS:
        raise CarryError(f"{path.name}: found more than {_MOST_LISTS} positions: export annotations only")
    with foreign(path.name, f"GeoJSON: {_ADVICE}", CarryError):
        return parse_json(data, object)


def carry(shapes: Any, matrix: Matrix) -> Any:
    """The same GeoJSON after a (2, 3) matrix on every position; the one given is not changed.

    A FeatureCollection, a list of Features, a Feature or a bare geometry; frame: level-0 pixels, origin top
    left. Ids, properties and holes stay. Raises CarryError where it is no GeoJSON or holds no shape.
    """
    rows: list[tuple[float, float, float]] = [(float(a), float(b), float(c)) for a, b, c in matrix]
    carried = _Carrier(rows)
    try:
        out = carried.walk(shapes)
    except (RecursionError, OverflowError) as error:
        raise CarryError(
            f"found GeoJSON nested too deep or a number too large ({error}): {_ADVICE}"
        ) from error
    if not carried.count:
        raise CarryError(f"found GeoJSON without any shape, expected annotations: {_ADVICE}")
    return out


class _Carrier:
    """Walks GeoJSON and counts the geometries it moves."""

    def __init__(self, rows: list[tuple[float, float, float]]) -> None:
        self._rows, self.count = rows, 0

    def walk(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.walk(part) for part in node]
        kind = node.get("type") if isinstance(node, dict) else None
        if not isinstance(kind, str) or kind not in _DEPTHS.keys() | _PARTS.keys():
            raise CarryError(f"found {_start(node)} where GeoJSON has an object of a type: {_ADVICE}")
        out = {key: value for key, value in node.items() if key not in _STALE}
        if kind in _DEPTHS:
            self.count += 1
            out["coordinates"] = self._moved(node.get("coordinates"), _DEPTHS[kind])
        for part in _PARTS.get(kind, ()):
            if out.get(part) is not None:  # a Feature may have no geometry
                out[part] = self.walk(out[part])
        return out

    def _moved(self, coordinates: Any, depth: int) -> Any:
        if not isinstance(coordinates, list):
            raise CarryError(f"found {_start(coordinates)} for coordinates, expected a list: {_ADVICE}")
        if depth:
            return [self._moved(part, depth - 1) for part in coordinates]
        if len(coordinates) < 2 or not all(type(value) in (int, float) for value in coordinates):
            raise CarryError(f"found {_start(coordinates)}, expected a position [x, y]: {_ADVICE}")
        x, y, *rest = coordinates
        return [*(a * x + b * y + c for a, b, c in self._rows), *rest]


def _start(value: Any) -> str:
    """The first characters of a value for a message, however large or deep it is."""
    return repr(reprlib.repr(value)[:40])
