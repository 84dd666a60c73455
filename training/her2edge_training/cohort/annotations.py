"""Regions drawn in QuPath: GeoJSON to polygons with classes.

Frame: level-0 pixels of the slide, origin top left, x to the right, y down, as QuPath exports them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import shapely

from her2edge.errors import Her2EdgeError, MissingInputError
from her2edge.text import shown
from her2edge_training.classes import UNCLASSIFIED

_EXPECTED = "expected objects exported from QuPath as GeoJSON: export them again (File > Export objects)"


class AnnotationError(Her2EdgeError, ValueError):
    """An annotation file that cannot be used: malformed, without polygons, of unknown classes, elsewhere."""


@dataclass(frozen=True, eq=False)
class Region:
    """One annotation. name: its class, or UNCLASSIFIED; shape: a valid shapely Polygon or MultiPolygon."""

    name: str
    shape: Any


@dataclass(frozen=True, eq=False)
class Annotation:
    """What an annotation file holds.

    repaired: regions that crossed themselves and have been made valid.
    left_out: objects that are no region: points, lines, cells, tiles, polygons without area.
    """

    file: str
    regions: tuple[Region, ...]
    repaired: int
    left_out: int


def read_annotation(path: Path) -> Annotation:
    """Read QuPath's GeoJSON: a FeatureCollection, a list of Features or one; (Multi)Polygons, holes kept.

    A polygon that crosses itself is repaired by shapely.make_valid: what its outline goes round, however
    often, is inside. Raises MissingInputError for no file, AnnotationError where it is malformed or holds no
    polygon.
    """
    name = shown(path.name)
    if not path.is_file():
        raise MissingInputError(f"{name}: no such annotation file: export it from QuPath as GeoJSON")
    features = _features(path, name)
    regions: list[Region] = []
    repaired = 0
    for feature in features:
        shape = _shape(feature)
        if shape is None:
            continue
        if not shape.is_valid:
            shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
            repaired += 1
        if shape.area > 0:
            regions.append(Region(feature.name, shape))
    if not regions:
        raise AnnotationError(
            f"{name}: found {len(features)} object(s) and no annotated polygon, expected one or more: "
            "draw regions in QuPath and export them as GeoJSON"
        )
    return Annotation(name, tuple(regions), repaired, len(features) - len(regions))


_Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
_Position = Annotated[list[_Number], msgspec.Meta(min_length=2)]
_Ring = Annotated[list[_Position], msgspec.Meta(min_length=4)]


class _Polygon(msgspec.Struct, tag_field="type", tag="Polygon"):
    coordinates: list[_Ring]


class _MultiPolygon(msgspec.Struct, tag_field="type", tag="MultiPolygon"):
    coordinates: list[list[_Ring]]


class _Point(msgspec.Struct, tag_field="type", tag="Point"):
    """No area, as the kinds below; their coordinates are not looked at."""


class _MultiPoint(msgspec.Struct, tag_field="type", tag="MultiPoint"):
    pass


class _LineString(msgspec.Struct, tag_field="type", tag="LineString"):
    pass


class _MultiLineString(msgspec.Struct, tag_field="type", tag="MultiLineString"):
    pass


class _GeometryCollection(msgspec.Struct, tag_field="type", tag="GeometryCollection"):
    pass


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
    geometry: (
        _Polygon | _MultiPolygon | _Point | _MultiPoint | _LineString | _MultiLineString | _GeometryCollection
    ) | None
    properties: _Properties | None = None

    @property
    def name(self) -> str:
        own = (self.properties or _Properties()).classification or _Classification()
        return shown(own.name or ": ".join(own.names or ()) or UNCLASSIFIED)

    @property
    def is_annotation(self) -> bool:
        own = self.properties or _Properties()
        return (own.objectType or own.object_type or "annotation") == "annotation"


class _FeatureCollection(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: list[_Feature]


def _features(path: Path, name: str) -> list[_Feature]:
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        content = msgspec.json.decode(data, type=list[_Feature] | _Feature | _FeatureCollection)
    except OSError as error:
        raise AnnotationError(f"{name}: cannot be read ({error.strerror}): check its permissions") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(f"{name}: found malformed GeoJSON ({error}), {_EXPECTED}") from error
    if isinstance(content, _FeatureCollection):
        return content.features
    return [content] if isinstance(content, _Feature) else content


def _shape(feature: _Feature) -> Any:
    """The drawn polygon(s), or None for another kind of object. One MultiPolygon is one region."""
    geometry = feature.geometry
    if not feature.is_annotation or not isinstance(geometry, _Polygon | _MultiPolygon):
        return None
    if isinstance(geometry, _Polygon):
        return _polygon(geometry.coordinates)
    return shapely.MultiPolygon([_polygon(rings) for rings in geometry.coordinates])


def _polygon(rings: list[_Ring]) -> Any:
    """The outline first, then its holes; no rings, no area."""
    flat = [[position[:2] for position in ring] for ring in rings]
    return shapely.Polygon(flat[0], flat[1:]) if flat else shapely.Polygon()
