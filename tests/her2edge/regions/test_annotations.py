"""QuPath's GeoJSON becomes polygons with classes, and polygons choose tiles of a slide's grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from drawn import feature, square
from shared_data import SHARED, needs

from her2edge.errors import AnnotationError, Her2EdgeError, MissingInputError, OptionError
from her2edge.regions.annotations import Annotation, Region, read_annotation
from her2edge.regions.classes import key, label_of
from her2edge.regions.inside import find_places
from her2edge.results.geojson import class_name
from her2edge.slide import TileSize
from her2edge.slide.grid import Grid, plan_grid
from her2edge_training.classes import CLASSES, check_table, extended, read_table

GRID = plan_grid((2048, 1536), 0.25, TileSize(512, 0.25))  # 4 columns, 3 rows of 512 pixels
LABELS = label_of(CLASSES)


def write(folder: Path, content: Any) -> Path:
    path = folder / "case.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def places(grid: Grid, *regions: tuple[str, Any], min_inside: float = 1.0) -> Any:
    annotation = Annotation("a.geojson", tuple(Region(name, shape) for name, shape in regions), 0, 0)
    return find_places(annotation, LABELS, grid, "slide", min_inside)


def where(given: Any) -> list[tuple[int, int, str]]:
    return [(place.column, place.row, place.label) for place in given.chosen]


def shoelace(ring: list[list[float]]) -> float:
    x, y = np.array(ring)[:, :2].T
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


@pytest.mark.parametrize(
    ("file", "classes", "repaired"),
    [
        ("qupath05-featurecollection.geojson", ["unclassified"] * 3, 0),
        ("bare-list.geojson", ["unclassified"] * 3, 0),
        ("feature-with-hole.geojson", ["unclassified"], 0),
        ("multipolygon.geojson", ["ROI"], 0),
    ],
)
def test_real_exports_in_all_four_shapes_give_their_polygons(
    file: str, classes: list[str], repaired: int
) -> None:
    path = SHARED / "qupath" / file
    if not path.exists():
        pytest.skip(f"shared/data lacks qupath/{file}")
    annotation = read_annotation(path)
    assert [region.name for region in annotation.regions] == classes
    assert (annotation.repaired, annotation.left_out) == (repaired, 0)
    raw = json.loads(path.read_bytes())
    features = raw if isinstance(raw, list) else raw.get("features", [raw])
    for region, source in zip(annotation.regions, features, strict=True):
        coordinates = source["geometry"]["coordinates"]
        polygons = [coordinates] if source["geometry"]["type"] == "Polygon" else coordinates
        area = sum(shoelace(rings[0]) - sum(map(shoelace, rings[1:])) for rings in polygons)
        assert region.shape.area == pytest.approx(area, rel=1e-9)


@needs("qupath/feature-with-hole.geojson")
def test_a_tile_over_the_hole_of_a_real_export_is_not_cut() -> None:
    (region,) = read_annotation(SHARED / "qupath" / "feature-with-hole.geojson").regions
    grid = plan_grid((20000, 20000), 0.25, TileSize(128, 0.25))
    chosen = {(column, row) for column, row, _ in where(places(grid, ("3+", region.shape)))}
    outline = shapely.box(10098, 16763, 13369, 19491)
    inside = {
        (column, row)
        for column in range(70, 110)
        for row in range(125, 160)
        if outline.covers(shapely.box(column * 128, row * 128, column * 128 + 128, row * 128 + 128))
    }
    assert chosen < inside
    assert (12300 // 128, 18100 // 128) in inside - chosen


def test_classes_are_read_in_each_way_qupath_writes_them(tmp_path: Path) -> None:
    box = [square(0, 0, 9, 9)]
    path = write(
        tmp_path,
        [
            feature(box),
            feature(box, classification={"names": ["HER2", "2+"], "color": [1, 2, 3]}),
            feature(box, classification=None),
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": box}, "properties": None},
        ],
    )
    names = [region.name for region in read_annotation(path).regions]
    assert names == ["3+", "HER2: 2+", "unclassified", "unclassified"]


def test_what_crosses_itself_is_repaired_and_counted(tmp_path: Path) -> None:
    bow_tie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    annotation = read_annotation(write(tmp_path, [feature([bow_tie]), feature([square(0, 0, 4, 4)])]))
    assert [region.shape.area for region in annotation.regions] == [50, 16]
    assert annotation.repaired == 1


def test_what_an_outline_goes_round_twice_is_inside(tmp_path: Path) -> None:
    turns = np.arange(6) * 4 * np.pi / 5
    star = np.stack([np.sin(turns), np.cos(turns)], axis=1) * 100
    star[-1] = star[0]
    (region,) = read_annotation(write(tmp_path, feature([star.tolist()]))).regions
    assert region.shape.covers(shapely.Point(0, 0))


def test_only_annotated_areas_are_regions(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "type": "FeatureCollection",
            "features": [
                feature([square(0, 0, 9, 9)]),
                feature([1, 2], "Point"),
                feature([[1, 2], [3, 4]], "LineString"),
                feature([square(0, 0, 9, 9)], objectType="cell"),
                feature([square(0, 0, 9, 9)], objectType="tile"),
                feature([[[0, 0], [9, 9], [0, 0], [0, 0]]]),
                feature([]),
                {"type": "Feature", "geometry": None, "properties": {}},
            ],
        },
    )
    annotation = read_annotation(path)
    assert (len(annotation.regions), annotation.left_out) == (1, 7)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        '{"type": "FeatureCollection", "features": [',
        '{"type": "Topology"}',
        '{"features": []}',
        json.dumps([feature([[[0, 0], [1, 1]]])]),
        json.dumps([feature([[["a", 0], [1, 1], [1, 0], [0, 0]]])]),
        json.dumps([feature([[[0], [1], [1], [0]]])]),
        json.dumps([feature([square(0, 0, 1e300, 1)])]),
        json.dumps([feature([square(0, 0, 1, 1)], "Circle")]),
        json.dumps([feature([square(0, 0, 1, 1)], classification="3+")]),
        json.dumps([feature([[[float("nan"), 0], [1, 1], [1, 0], [0, 0]]])]),
        "[" * 100_000,
    ],
)
def test_malformed_geojson_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    with pytest.raises(
        AnnotationError, match=r"^case.geojson: found (malformed GeoJSON|an empty file).*export them again"
    ):
        read_annotation(write(tmp_path, content))


@pytest.mark.parametrize(
    "content", [[], [feature([1, 2], "Point")], {"type": "FeatureCollection", "features": []}]
)
def test_a_file_without_polygons_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(AnnotationError, match=r"found \d object\(s\) and no annotated polygon.*draw regions"):
        read_annotation(write(tmp_path, content))


def test_a_missing_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no\.geojson: no such annotation"):
        read_annotation(tmp_path / "no.geojson")


def test_damaged_files_give_polygons_or_a_typed_error_and_nothing_else(tmp_path: Path) -> None:
    good = json.dumps(
        [feature([square(0, 0, 9, 9), square(2, 2, 4, 4)]), feature([[square(0, 0, 5, 5)]], "MultiPolygon")]
    )
    random = np.random.default_rng(5)
    path = tmp_path / "case.geojson"
    for _ in range(2000):
        data = bytearray(good.encode())
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(len(data)))
            if random.integers(3) == 0:
                del data[at : at + int(random.integers(1, 20))]
            else:
                data[at] = (
                    int(random.integers(256))
                    if random.integers(2)
                    else ord('0123456789[]{},"-e.'[random.integers(19)])
                )
        path.write_bytes(data)
        try:
            annotation = read_annotation(path)
        except Her2EdgeError:
            continue
        assert all(region.shape.is_valid and region.shape.area > 0 for region in annotation.regions)


def test_tiles_wholly_inside_a_square_are_chosen_row_by_row() -> None:
    assert where(places(GRID, ("3+", shapely.box(0, 0, 1100, 1024)))) == [
        (0, 0, "3+"), (1, 0, "3+"), (0, 1, "3+"), (1, 1, "3+"),
    ]  # fmt: skip


def test_a_hole_takes_its_tile_away() -> None:
    region = shapely.box(0, 0, 1024, 1024) - shapely.box(600, 600, 700, 700)
    assert where(places(GRID, ("3+", region))) == [(0, 0, "3+"), (1, 0, "3+"), (0, 1, "3+")]


@pytest.mark.parametrize(("share", "count"), [(1.0, 1), (0.76, 1), (0.75, 2), (0.5, 2), (0.25, 2)])
def test_a_stated_share_inside_is_enough(share: float, count: int) -> None:
    assert len(places(GRID, ("2+", shapely.box(0, 0, 512 * 1.75, 512)), min_inside=share).chosen) == count


def test_the_choice_is_that_of_a_tile_by_tile_comparison() -> None:
    grid = plan_grid((9000, 7000), 0.2527, TileSize(256, 0.25))
    turns = np.sort(np.random.default_rng(1).uniform(0, 2 * np.pi, 40))
    radius = np.random.default_rng(2).uniform(1500, 5500, 40)
    shape = shapely.Polygon(np.stack([4500 + radius * np.cos(turns), 3500 + radius * np.sin(turns)], axis=1))
    expected = []
    for column, row in grid:
        x, y = grid.origin(column, row)
        tile = shapely.box(x, y, x + grid.step, y + grid.step)
        if shape.intersection(tile).area >= 0.6 * tile.area and grid.valid(column, row) == (256, 256):
            expected.append((column, row, "0/1+"))
    assert len(expected) > 50
    assert where(places(grid, ("1+", shape), min_inside=0.6)) == expected


def test_a_tile_may_lie_across_two_regions_of_one_label() -> None:
    halves = ("0", shapely.box(0, 0, 256, 512)), ("1+", shapely.box(256, 0, 512, 512))
    assert where(places(GRID, *halves)) == [(0, 0, "0/1+")]


def test_a_tile_in_regions_of_two_labels_is_left_out_and_counted() -> None:
    chosen = places(GRID, ("2+", shapely.box(0, 0, 1024, 512)), ("3+", shapely.box(1000, 0, 2048, 512)))
    assert where(chosen) == [(0, 0, "2+"), (2, 0, "3+"), (3, 0, "3+")]
    assert chosen.two_labels == 1


def test_neighbouring_regions_of_two_labels_share_no_tile() -> None:
    chosen = places(GRID, ("2+", shapely.box(0, 0, 512, 512)), ("3+", shapely.box(512, 0, 1024, 512)))
    assert where(chosen) == [(0, 0, "2+"), (1, 0, "3+")]
    assert chosen.two_labels == 0


def test_a_region_over_the_edge_is_clipped_to_whole_tiles_of_the_slide() -> None:
    grid = plan_grid((1300, 1024), 0.25, TileSize(512, 0.25))
    chosen = places(
        grid, ("3+", shapely.box(-600, -600, 5000, 5000)), ("2+", shapely.box(9000, 0, 9600, 600))
    )
    assert where(chosen) == [(0, 0, "3+"), (1, 0, "3+"), (0, 1, "3+"), (1, 1, "3+")]
    assert chosen.outside == 1


def test_an_annotation_off_the_slide_is_refused() -> None:
    with pytest.raises(
        AnnotationError, match=r"x 9000\.\.9600, y 0\.\.600, expected them on slide of 2048 x 1536"
    ):
        places(GRID, ("3+", shapely.box(9000, 0, 9600, 600)))


def test_ignored_classes_are_as_if_not_drawn() -> None:
    annotation = Annotation(
        "a.geojson",
        (Region("3+", shapely.box(0, 0, 512, 512)), Region("Tissue", shapely.box(0, 0, 2048, 1536))), 0, 0,
    )  # fmt: skip
    labels = label_of(extended(CLASSES, [("tissue", "ignore")]))
    assert where(find_places(annotation, labels, GRID, "slide")) == [(0, 0, "3+")]
    with pytest.raises(AnnotationError, match="only regions of ignored classes"):
        find_places(annotation, label_of((("3+", "ignore"), ("tissue", "ignore"))), GRID, "slide")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("0", "0/1+"), ("1+", "0/1+"), ("0/1+", "0/1+"), ("HER2 0", "0/1+"), ("Negative", "0/1+"),
        ("2+", "2+"), ("her2  2+", "2+"), ("Equivocal", "2+"),
        ("3+", "3+"), ("HER2: 3+", "3+"), ("POSITIVE", "3+"),
    ],
)  # fmt: skip
def test_obvious_class_names_are_known(name: str, label: str) -> None:
    assert LABELS[key(name)] == label


@pytest.mark.parametrize("label", ["0/1+", "2+", "3+"])
def test_the_classes_of_tiles_geojson_are_read_back_and_are_none_of_qupaths_own(label: str) -> None:
    name = class_name(label)
    assert LABELS[key(name)] == label
    # PathClassTools.isPositiveOrGradedIntensityClass asks the last part of a derived class
    assert name.split(": ")[-1] not in ("Positive", "Negative", "1+", "2+", "3+")


@pytest.mark.parametrize("name", ["HER2-low", "Tumor", "1", "unclassified"])
def test_other_class_names_are_not(name: str) -> None:
    assert key(name) not in LABELS


def test_a_table_of_classes_names_only_labels_and_each_class_once(tmp_path: Path) -> None:
    check_table((*CLASSES, ("strong", "3+"), ("Strong", "3+")), ("0/1+", "2+", "3+"))
    with pytest.raises(
        OptionError, match="label '4\\+' for class 'strong', expected one of 0/1\\+, 2\\+, 3\\+, ignore"
    ):
        check_table((("strong", "4+"),), ("0/1+", "2+", "3+"))
    with pytest.raises(OptionError, match="with the labels 3\\+ and 2\\+"):
        check_table((("strong", "3+"), ("Strong", "2+")), ("0/1+", "2+", "3+"))
    (tmp_path / "table.json").write_text('{"strong": "3+"}')
    assert read_table(tmp_path / "table.json") == (("strong", "3+"),)
    (tmp_path / "table.json").write_text('["strong"]')
    with pytest.raises(OptionError, match="expected a table of classes"):
        read_table(tmp_path / "table.json")
    with pytest.raises(MissingInputError):
        read_table(tmp_path / "no.json")
    with pytest.raises(OptionError, match="found a folder"):
        read_table(tmp_path)
