"""Each kind of object that QuPath and its users put into an annotation file gives the right regions."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from drawn import feature, square
from shared_data import SHARED, needs

from her2edge.errors import AnnotationError
from her2edge.regions.annotations import Annotation, Region, read_annotation
from her2edge.regions.classes import EXCLUDE, key, label_of, meaning
from her2edge.regions.inside import Places, find_places
from her2edge.slide import TileSize
from her2edge.slide.grid import plan_grid
from her2edge_training.classes import CLASSES, extended

GRID = plan_grid((1024, 1024), 0.25, TileSize(256, 0.25))  # 4 x 4 tiles of 256 pixels
CASES = SHARED / "cases"


def read(folder: Path, *features: Any) -> Annotation:
    path = folder / "case.geojson"
    path.write_text(json.dumps(features), encoding="utf-8")
    return read_annotation(path)


def polygon(*rings: Any, **other: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)} | other


def of(geometry: dict[str, Any], name: str = "3+") -> dict[str, Any]:
    return feature(None, classification={"name": name}) | {"geometry": geometry}


def places(*regions: tuple[str, Any], min_inside: float = 1.0, **more: str) -> Places:
    annotation = Annotation("a.geojson", tuple(Region(name, shape) for name, shape in regions), 0, 0)
    return find_places(annotation, label_of(extended(CLASSES, more.items())), GRID, "slide", min_inside)


def where(found: Places) -> set[tuple[int, int, str]]:
    return {(place.column, place.row, place.label) for place in found.chosen}


@needs("cases/necrosis-inside-tumour.geojson")
def test_necrosis_inside_a_tumour_is_cut_out_where_excluded_and_labelled_where_only_ignored() -> None:
    annotation = read_annotation(CASES / "necrosis-inside-tumour.geojson")
    chosen = {}
    for what in ("exclude", "ignore"):
        chosen[what] = find_places(annotation, label_of((*CLASSES, ("Necrosis", what))), GRID, "s")
    middle = {(column, row, "3+") for column in (1, 2) for row in (1, 2)}
    assert (len(chosen["ignore"].chosen), chosen["ignore"].excluded) == (16, 0)
    assert (len(chosen["exclude"].chosen), chosen["exclude"].excluded) == (12, 4)
    assert not where(chosen["exclude"]) & middle


def test_several_excluded_regions_count_each_tile_once_and_take_from_every_label() -> None:
    found = places(
        ("3+", shapely.box(0, 0, 512, 1024)),
        ("2+", shapely.box(512, 0, 1024, 1024)),
        ("Necrosis", shapely.box(400, 10, 600, 20)),  # over the border of the two labels
        ("Fold", shapely.box(300, 0, 500, 15)),
        ("Necrosis", shapely.box(0, 800, 10, 810)),
        Necrosis=EXCLUDE, Fold=EXCLUDE,
    )  # fmt: skip
    taken = {(1, 0, "3+"), (2, 0, "2+"), (0, 3, "3+")}
    everything = {(c, r, "3+" if c < 2 else "2+") for c in range(4) for r in range(4)}
    assert where(found) == everything - taken
    assert (found.excluded, found.two_labels) == (3, 0)


def test_each_tile_in_a_region_is_chosen_disputed_or_excluded() -> None:
    regions = ("3+", shapely.box(0, 0, 1024, 512)), ("2+", shapely.box(0, 256, 1024, 1024))
    before = places(*regions)
    after = places(*regions, ("Ignore*", shapely.box(500, 200, 800, 1024)))
    assert (len(before.chosen), before.two_labels, before.excluded) == (12, 4, 0)
    assert len(after.chosen) + after.two_labels + after.excluded == 16
    assert after.excluded == 3 * 4  # columns 1 to 3 of rows 0 to 3


def test_a_tile_keeps_its_label_where_enough_is_left_of_it() -> None:
    regions = ("3+", shapely.box(0, 0, 256, 256)), ("Ignore*", shapely.box(0, 0, 64, 256))
    assert len(places(*regions, min_inside=0.75).chosen) == 1
    assert places(("3+", shapely.box(0, 0, 512, 256)), regions[1], min_inside=0.76).excluded == 1


def test_excluded_regions_off_the_labelled_ones_take_nothing() -> None:
    found = places(("3+", shapely.box(0, 0, 256, 256)), ("Ignore*", shapely.box(256, 0, 1024, 256)))
    assert (where(found), found.excluded) == ({(0, 0, "3+")}, 0)


def test_exclusion_without_a_labelled_region_is_refused() -> None:
    with pytest.raises(AnnotationError, match=r"only regions of ignored classes or excluded ones"):
        places(("Ignore*", shapely.box(0, 0, 256, 256)))


@pytest.mark.parametrize("name", ["Ignore*", "ignore", "Artefact*", "Tumor: Ignore*", "IGNORE *", "Fold*"])
def test_classes_that_qupath_ignores_are_excluded_unless_they_are_named(name: str) -> None:
    assert meaning(name, label_of(CLASSES)) == EXCLUDE
    assert meaning(name, label_of(extended(CLASSES, [(name, "ignore")]))) == "ignore"
    assert meaning(name, label_of(extended(CLASSES, [(name, "3+")]))) == "3+"


@pytest.mark.parametrize("name", ["Region*", "Necrosis", "unclassified", "Star * cells"])
def test_other_classes_must_be_named(name: str) -> None:
    assert meaning(name, label_of(CLASSES)) is None


@pytest.mark.parametrize(
    "space",
    ["\u00a0", "\u2009", "\u202f", "\u3000", "\u2003", "\u200b", "\ufeff", "\t", " \u00a0 ", "\u2028"],
)
def test_a_class_is_the_same_with_any_space_and_as_the_message_shows_it(tmp_path: Path, space: str) -> None:
    name = f"{space}HER2{space}3+{space}"
    (region,) = read(tmp_path, of(polygon(square(0, 0, 9, 9)), name)).regions
    assert region.name == "HER2 3+"
    assert meaning(region.name, label_of(CLASSES)) == "3+"
    assert key(f"HER2{space}Strong\u00ad") == key("her2 strong")
    assert meaning("Very strong", label_of(extended(CLASSES, [(f"Very{space}Strong", "3+")]))) == "3+"


def test_wide_and_raised_characters_are_the_plain_ones() -> None:
    assert meaning("\uff13\uff0b", label_of(CLASSES)) == meaning("HER2 3\u207a", label_of(CLASSES)) == "3+"


@needs("cases/geometry-collection.geojson")
def test_a_geometry_collection_is_a_region() -> None:
    annotation = read_annotation(CASES / "geometry-collection.geojson")
    assert (len(annotation.regions), annotation.left_out) == (2, 0)
    assert len(find_places(annotation, label_of(CLASSES), GRID, "s").chosen) == 8


def test_nested_collections_and_bare_geometries_give_their_polygons(tmp_path: Path) -> None:
    multi = {"type": "MultiPolygon", "coordinates": [[square(40, 0, 50, 10)], [square(60, 0, 70, 10)]]}
    line = {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}
    inner = {"type": "GeometryCollection", "geometries": [line, multi]}
    whole = {"type": "GeometryCollection", "geometries": [polygon(square(0, 0, 10, 10)), inner]}
    annotation = read(tmp_path, of(whole), whole, of({"type": "GeometryCollection", "geometries": [line]}))
    assert [region.shape.area for region in annotation.regions] == [300, 300]
    assert [region.name for region in annotation.regions] == ["3+", "unclassified"]
    assert (annotation.left_out, annotation.repaired) == (1, 0)


def nested(depth: int) -> str:
    start = '{"type":"GeometryCollection","geometries":['
    return start * depth + json.dumps(polygon(square(0, 0, 2, 2))) + "]}" * depth


def test_nested_collections_are_read_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    path.write_text(nested(100))
    assert read_annotation(path).regions[0].shape.area == 4
    path.write_text(nested(100_000))
    with pytest.raises(AnnotationError, match=r"^deep.geojson: found malformed GeoJSON"):
        read_annotation(path)


OUTLINE = square(0, 0, 100, 100)


@pytest.mark.parametrize(
    ("holes", "area"),
    [
        ([[[0, 50], [20, 40], [20, 60], [0, 50]]], 10_000 - 200),  # at a point
        ([square(0, 20, 10, 40)], 10_000 - 200),  # along an edge
        ([square(0, 0, 10, 10)], 10_000 - 100),  # in the corner
        ([[[0, 50], [50, 0], [100, 50], [50, 100], [0, 50]]], 5_000),  # at four points
        ([square(10, 10, 20, 20), square(20, 10, 30, 20)], 10_000 - 200),  # each other along an edge
        ([[[-0.004, 50], [20, 40], [20, 60], [-0.004, 50]]], 10_000 - 200),  # but for QuPath's rounding
    ],
)
def test_a_hole_that_touches_is_no_crossing(tmp_path: Path, holes: Any, area: float) -> None:
    annotation = read(tmp_path, of(polygon(OUTLINE, *holes)))
    assert annotation.regions[0].shape.area == pytest.approx(area, abs=0.1)
    assert annotation.repaired == 0


@pytest.mark.parametrize(
    ("rings", "area"),
    [
        ([OUTLINE, square(-20, 40, 20, 60)], 10_000 - 400),  # a hole across the outline
        ([[[0, 0], [50, 50], [100, 100], [100, 0], [50, 50], [0, 100], [0, 0]]], 5_000),  # through a vertex
        ([[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]], 5_000),
        ([OUTLINE, square(10, 10, 30, 30), square(20, 10, 40, 30)], 10_000 - 600),  # holes over each other
    ],
)
def test_what_crosses_is_repaired_and_counted(tmp_path: Path, rings: Any, area: float) -> None:
    annotation = read(tmp_path, of(polygon(*rings)))
    assert (annotation.regions[0].shape.area, annotation.repaired) == (area, 1)


def test_rings_of_fewer_than_four_points_are_left_out_and_counted(tmp_path: Path) -> None:
    stray = [[[1, 1], [2, 2], [1, 1]], [[1, 1], [2, 2]], [[1, 1]], []]
    multi = {"type": "MultiPolygon", "coordinates": [[square(0, 0, 10, 10)], [stray[0]], [stray[1]]]}
    annotation = read(
        tmp_path, of(polygon(square(0, 0, 10, 10), *stray)), of(multi), of(polygon(stray[0])), of(polygon())
    )
    assert [region.shape.area for region in annotation.regions] == [100, 100]
    assert (annotation.stray_rings, annotation.left_out, annotation.repaired) == (7, 2, 0)


def test_a_file_of_nothing_but_stray_rings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"1 outline\(s\) of fewer than four points.*export them again"):
        read(tmp_path, of(polygon([[0, 0], [9, 9], [0, 0]])))


def test_what_lies_on_other_planes_is_left_out_and_counted(tmp_path: Path) -> None:
    box = square(0, 0, 10, 10)
    planes = [{"c": -1, "z": 0, "t": 0}, {"c": -1, "z": 2, "t": 0}, {"z": 0, "t": 1}]
    mixed = {"type": "GeometryCollection", "geometries": [polygon(box), polygon(box, plane={"z": 1})]}
    annotation = read(tmp_path, *(of(polygon(box, plane=plane)) for plane in planes), of(mixed))
    assert [region.shape.area for region in annotation.regions] == [100, 100]
    assert (annotation.other_plane, annotation.left_out) == (3, 0)
    with pytest.raises(AnnotationError, match=r"2 object\(s\) on other planes"):
        read(tmp_path, *(of(polygon(box, plane=plane)) for plane in planes[1:]))


def test_qupath_02_says_in_the_id_what_an_object_is(tmp_path: Path) -> None:
    def old(kind: str) -> dict[str, Any]:
        return {"type": "Feature", "id": kind, "geometry": polygon(OUTLINE), "properties": {}}

    annotation = read(tmp_path, old("PathAnnotationObject"), old("PathCellObject"), old("PathTileObject"))
    assert (len(annotation.regions), annotation.left_out) == (1, 2)


def star(points: int, step: int) -> Any:
    turns = np.arange(points + 1) * 2 * np.pi * step / points
    ring = (np.stack([np.cos(turns), np.sin(turns)], axis=1) * 5000).round(1)
    return [*ring[:-1].tolist(), ring[0].tolist()]


def bars(count: int) -> list[Any]:
    rows = [of(polygon(square(0, 9 * at, 9 * count, 9 * at + 4))) for at in range(count)]
    return rows + [of(polygon(square(9 * at, 0, 9 * at + 4, 9 * count))) for at in range(count)]


TANGLED = {
    "a star of 2,000 points": [of(polygon(star(2000, 997)))],
    "bars over bars": bars(800),
    "to and fro on one line": [
        of(
            polygon(
                [[0, 0], *([int(x), 5] for x in np.random.default_rng(0).permutation(3000)), [0, 9], [0, 0]]
            )
        )
    ],
    "small beside a large one": [of(polygon(star(200_001, 1))), of(polygon(star(2000, 997)))],
}


@pytest.mark.parametrize("name", TANGLED)
def test_outlines_too_tangled_to_be_repaired_in_seconds_are_refused_by_name(
    tmp_path: Path, name: str
) -> None:
    began = time.process_time()
    with pytest.raises(
        AnnotationError, match=r"^case.geojson: found outlines of \d+ points that cross each other"
    ):
        read(tmp_path, *TANGLED[name])
    assert time.process_time() - began < 60  # it took minutes


def test_some_crossings_are_repaired(tmp_path: Path) -> None:
    annotation = read(tmp_path, of(polygon(star(101, 50))), *bars(100))
    assert annotation.repaired == 1
    assert annotation.regions[0].shape.covers(shapely.Point(1, 1))


def test_regions_with_common_borders_are_not_tangled(tmp_path: Path) -> None:
    squares = [of(polygon(square(9 * x, 9 * y, 9 * x + 9, 9 * y + 9))) for x in range(80) for y in range(80)]
    assert len(read(tmp_path, *squares).regions) == 6400


@pytest.mark.slow
def test_a_million_vertices_take_seconds_and_a_gigabyte_at_most(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    turns = np.linspace(0, 2 * np.pi, 1_000_000)
    far = 30_000 + 3_000 * np.sin(40 * turns)
    ring = np.stack([40_000 + far * np.cos(turns), 40_000 + far * np.sin(turns)], axis=1).round(2)
    ring[-1] = ring[0]
    path = tmp_path / "large.geojson"
    path.write_text(json.dumps(of(polygon(ring.tolist()))))
    annotation = read_annotation(path)
    found = find_places(
        annotation, label_of(CLASSES), plan_grid((80_000, 80_000), 0.25, TileSize(512, 0.25)), "s"
    )
    assert len(found.chosen) > 10_000
    assert time.process_time() - began < 60  # a guard, no figure: it took minutes and gigabytes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


def test_more_vertices_than_fit_into_memory_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "huge.geojson"
    ring = "[" + "[0,0]," * 1_600_000 + "[0,0]]"
    path.write_text(f'{{"type":"Polygon","coordinates":[{ring}]}}')
    with pytest.raises(AnnotationError, match=r"^huge.geojson: found more than 1500000 vertices"):
        read_annotation(path)


def test_large_outlines_choose_the_tiles_of_a_tile_by_tile_comparison() -> None:
    turns = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    far = 1500 + 300 * np.sin(7 * turns) + np.random.default_rng(3).uniform(-9, 9, len(turns))
    shape = shapely.Polygon(np.stack([2000 + far * np.cos(turns), 1900 + far * np.sin(turns)], axis=1))
    grid = plan_grid((4000, 3900), 0.25, TileSize(64, 0.25))
    annotation = Annotation("a", (Region("3+", shape),), 0, 0)
    chosen = {
        (one.column, one.row) for one in find_places(annotation, label_of(CLASSES), grid, "s", 0.5).chosen
    }
    tiles = {at: shapely.box(*grid.origin(*at), *(x + grid.step for x in grid.origin(*at))) for at in grid}
    shares = {at: shape.intersection(tile).area / tile.area for at, tile in tiles.items()}
    assert chosen == {
        at for at, share in shares.items() if share >= 0.5 and grid.valid(*at) == (grid.tile_px, grid.tile_px)
    }
    assert len(chosen) > 1000
