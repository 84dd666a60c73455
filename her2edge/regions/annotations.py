"""Regions drawn in QuPath: GeoJSON to polygons with classes.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down, as QuPath exports them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from her2edge.errors import AnnotationError, MissingInputError
from her2edge.files import look
from her2edge.regions.geojson import Drawn, read_drawn
from her2edge.regions.tangle import MOST_CROSSINGS, ROUNDING, has_crossing, is_tangled, segments
from her2edge.regions.unpack import read_export
from her2edge.text import shown

_EXPECTED = (
    "expected objects exported from QuPath as GeoJSON: export them again (File > Export objects as GeoJSON)"
)


@dataclass(frozen=True, eq=False)
class Region:
    """One annotation. name: its class, or UNCLASSIFIED; shape: a valid shapely Polygon or MultiPolygon."""

    name: str
    shape: Any


@dataclass(frozen=True, eq=False)
class Annotation:
    """What an annotation file holds.

    repaired: regions that crossed or overlapped themselves and have been made valid.
    left_out: objects that are no region: points, lines, cells, tiles, polygons without area.
    stray_rings: outlines and holes of fewer than four points, which go round nothing, left out.
    other_plane: objects on another plane than z = 0, t = 0, left out; not among `left_out`.
    sha256: of the GeoJSON, unpacked, hex.
    """

    file: str
    regions: tuple[Region, ...]
    repaired: int
    left_out: int
    stray_rings: int = 0
    other_plane: int = 0
    sha256: str = ""


def read_annotation(path: Path) -> Annotation:
    """Read QuPath's GeoJSON: a FeatureCollection, a list of Features or one; also as .gz or .zip.

    Polygons, MultiPolygons and those of GeometryCollections are regions, their holes kept. One that crosses
    itself is repaired by shapely.make_valid: what its outline goes round, however often, is inside.
    Raises MissingInputError for no file; AnnotationError where it is malformed, holds no polygon, or is too
    large or too tangled to be worked on in seconds.
    """
    name = shown(path.name)
    if look(path, "objects exported from QuPath as GeoJSON", AnnotationError) != "file":
        raise MissingInputError(f"{name}: no such annotation file: export it from QuPath as GeoJSON")
    data = read_export(path, AnnotationError)
    drawn = _drawn(data, name)
    lines = segments([ring for one in drawn for rings in one.polygons for ring in rings])
    if is_tangled(lines):
        raise AnnotationError(
            f"{name}: found outlines of {len(lines)} points that cross each other more than "
            f"{MOST_CROSSINGS} times, expected outlines that hardly cross: draw them again, or simplify them "
            "in QuPath"
        )
    del lines
    regions: list[Region] = []
    repaired = elsewhere = 0
    for one in drawn:
        shape, mended = _shape(one, name)
        if shape.area > 0:
            regions.append(Region(one.name, shape))
            repaired += mended
        elsewhere += one.other_plane and shape.area == 0
    other_plane = sum(one.other_plane for one in drawn)
    stray_rings = sum(one.stray_rings for one in drawn)
    if not regions:
        raise _no_region(name, len(drawn), stray_rings, other_plane)
    left_out = len(drawn) - len(regions) - elsewhere
    sha256 = hashlib.sha256(data).hexdigest()
    return Annotation(name, tuple(regions), repaired, left_out, stray_rings, other_plane, sha256)


def _no_region(name: str, objects: int, stray_rings: int, other_plane: int) -> AnnotationError:
    if other_plane:
        return AnnotationError(
            f"{name}: found {other_plane} object(s) on other planes (z or t is not 0) and no annotated "
            "polygon on the first, expected one or more: draw regions on the plane z = 0, t = 0"
        )
    if stray_rings:
        return AnnotationError(
            f"{name}: found malformed GeoJSON ({stray_rings} outline(s) of fewer than four points and no "
            f"polygon), {_EXPECTED}"
        )
    return AnnotationError(
        f"{name}: found {objects} object(s) and no annotated polygon, expected one or more: "
        "draw regions in QuPath and export them as GeoJSON"
    )


def _drawn(data: bytes, name: str) -> Sequence[Drawn]:
    if not data.strip():
        raise AnnotationError(f"{name}: found an empty file, {_EXPECTED}")
    try:
        return read_drawn(data)
    except OverflowError as error:
        raise AnnotationError(f"{name}: {error}") from error
    except ValueError as error:
        raise AnnotationError(f"{name}: found malformed GeoJSON ({error}), {_EXPECTED}") from error


def _shape(drawn: Drawn, name: str) -> tuple[Any, bool]:
    """The region, valid, and whether it had to be changed for that; touching itself is no change."""
    try:
        parts = [shapely.Polygon(rings[0], rings[1:]) for rings in drawn.polygons]
        shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
        if shape.is_valid:
            return shape, False
        valid = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    except shapely.errors.ShapelyError as error:
        raise AnnotationError(
            f"{name}: found an outline that cannot be repaired ({error}): draw it again"
        ) from error
    changed = abs(shape.area - valid.area) > ROUNDING * shape.length
    return valid, changed or has_crossing(segments([ring for rings in drawn.polygons for ring in rings]))
