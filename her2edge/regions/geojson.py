"""QuPath's GeoJSON as records: what was drawn, of which class, on which plane.

Written after QuPath's own reader and writer (PathObjectTypeAdapters, ROITypeAdapters, PathIO).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.files import parse_json
from her2edge.regions.classes import UNCLASSIFIED, tidy

Ring = NDArray[np.float64]
MOST_VERTICES = 1_500_000
_MOST_OBJECTS = 3_000_000  # braces, which a measurement or a class has as well


@dataclass(frozen=True, eq=False)
class Drawn:
    """One object. name: of its class, tidy, or UNCLASSIFIED; polygons: rings of each, (n, 2) float64 level-0
    pixels, closed, the outline first; stray_rings: left out, of fewer than four points; other_plane: whether
    something of it lies on another plane than z = 0, t = 0, and has been left out.
    """

    name: str
    polygons: tuple[tuple[Ring, ...], ...]
    stray_rings: int
    other_plane: bool


def read_drawn(data: bytes) -> list[Drawn]:
    """All objects of a file, those that are no region without polygons.

    A FeatureCollection, a Feature, a bare geometry, or a list of these. Raises ValueError (DecodeError of
    msgspec is one) where it is something else, OverflowError where it is too much.
    """
    if data.count(b"{") > _MOST_OBJECTS:
        raise OverflowError("found millions of objects, expected annotations only, without cells")
    form: Any = list[_Object] | _Object
    shapes = parse_json(data, form)
    features: list[_Feature] = []
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        if isinstance(shape, _FeatureCollection):
            features += shape.features
        else:
            features.append(shape if isinstance(shape, _Feature) else _Feature(shape))
    budget = _Budget(MOST_VERTICES)
    return [_drawn(feature, budget) for feature in features]


_Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
_Position = Annotated[list[_Number], msgspec.Meta(min_length=2)]


class _Plane(msgspec.Struct):
    z: _Number = 0
    t: _Number = 0


class _Geometry(msgspec.Struct, tag_field="type"):
    plane: _Plane | None = None

    @property
    def elsewhere(self) -> bool:
        return self.plane is not None and (self.plane.z, self.plane.t) != (0, 0)


class _Polygon(_Geometry, tag="Polygon", kw_only=True):
    coordinates: msgspec.Raw


class _MultiPolygon(_Geometry, tag="MultiPolygon", kw_only=True):
    coordinates: msgspec.Raw


class _Point(_Geometry, tag="Point"):
    """No area, as the kinds below; their coordinates are not looked at."""


class _MultiPoint(_Geometry, tag="MultiPoint"):
    pass


class _LineString(_Geometry, tag="LineString"):
    pass


class _MultiLineString(_Geometry, tag="MultiLineString"):
    pass


class _GeometryCollection(_Geometry, tag="GeometryCollection", kw_only=True):
    geometries: list[_AnyGeometry]


_AnyGeometry = (
    _Polygon | _MultiPolygon | _Point | _MultiPoint | _LineString | _MultiLineString | _GeometryCollection
)


class _Classification(msgspec.Struct):
    """`name`, or in newer files `names`, from the base class to the derived one."""

    name: str | None = None
    names: list[str] | None = None


class _Properties(msgspec.Struct):
    """QuPath before 0.4 writes `object_type`."""

    classification: _Classification | None = None
    objectType: str | None = None  # noqa: N815 - QuPath's
    object_type: str | None = None


class _Feature(msgspec.Struct, tag_field="type", tag="Feature"):
    """QuPath 0.2 writes the kind of object as its id."""

    geometry: _AnyGeometry | None
    properties: _Properties | None = None
    id: str | float | None = None

    @property
    def name(self) -> str:
        classification = (self.properties or _Properties()).classification or _Classification()
        return tidy(classification.name or ": ".join(classification.names or ())) or UNCLASSIFIED

    @property
    def is_annotation(self) -> bool:
        properties = self.properties or _Properties()
        kind = properties.objectType or properties.object_type
        if (
            kind is None
            and isinstance(self.id, str)
            and self.id.startswith("Path")
            and self.id.endswith("Object")
        ):
            kind = self.id
        return kind in (None, "", "annotation", "PathAnnotationObject", "unknown")


class _FeatureCollection(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: list[_Feature]


_Object = (
    _FeatureCollection | _Feature
    | _Polygon | _MultiPolygon | _Point | _MultiPoint | _LineString | _MultiLineString | _GeometryCollection
)  # fmt: skip


class _Budget:
    """How many vertices may still come, counted before they are read."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def take(self, raw: bytes) -> None:
        self._left -= raw.count(b"[")
        if self._left < 0:
            raise OverflowError(
                f"found more than {self._most} vertices, expected fewer: simplify the outlines"
            )


def _drawn(feature: _Feature, budget: _Budget) -> Drawn:
    """One MultiPolygon or GeometryCollection is one region."""
    polygons: list[tuple[Ring, ...]] = []
    stray, other_plane = 0, False
    waiting: list[_AnyGeometry] = [feature.geometry] if feature.geometry and feature.is_annotation else []
    while waiting:  # no recursion: collections may be nested as deep as the parser goes
        geometry = waiting.pop()
        if geometry.elsewhere:
            other_plane = True
        elif isinstance(geometry, _GeometryCollection):
            waiting += reversed(geometry.geometries)
        elif isinstance(geometry, _Polygon | _MultiPolygon):
            budget.take(bytes(geometry.coordinates))
            for rings in _polygons_of(geometry):
                kept = [_closed(ring) if len(ring) >= 4 else None for ring in rings]
                stray += sum(ring is None for ring in kept)
                if kept and kept[0] is not None:
                    polygons.append(tuple(ring for ring in kept if ring is not None))
    return Drawn(feature.name, tuple(polygons), stray, other_plane)


def _polygons_of(geometry: _Polygon | _MultiPolygon) -> list[list[list[list[float]]]]:
    if isinstance(geometry, _Polygon):
        return [parse_json(geometry.coordinates, list[list[_Position]])]
    return parse_json(geometry.coordinates, list[list[list[_Position]]])


def _closed(ring: list[list[float]]) -> Ring:
    flat = all(len(position) == 2 for position in ring)
    points = np.array(ring if flat else [position[:2] for position in ring], np.float64)
    return points if (points[0] == points[-1]).all() else np.concatenate([points, points[:1]])
