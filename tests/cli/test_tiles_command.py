"""`her2edge tiles`: annotated slides become labelled tiles and the list of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import shapely
from drawn import SIDE, SMALL, annotate, feature, make_slide, square, tiles, two_stains
from msgspec.structs import replace
from shared_data import SHARED, needs

from her2edge.errors import OptionError
from her2edge.slide import SlideReader, TileSize, read_image
from her2edge.tissue import TissueFilter
from her2edge_training.classes import CLASSES
from her2edge_training.cohort.tile_list import COLUMNS, TileList
from her2edge_training.recipe import Recipe, dump_recipe
from her2edge_training.recipes import load_recipe


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Path]:
    """Row 0: 2+ with a tile of glass; row 1: three tiles of 3+; row 2: one tile of 0."""
    return make_slide(tmp_path / "case.png"), annotate(
        tmp_path / "case.geojson", ("2+", (0, 0, 4, 1)), ("HER2 3+", (0, 1, 3, 2)), ("0", (1, 2, 2.9, 3))
    )


def test_tiles_hold_the_slides_own_pixels_and_the_tile_list_names_them(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    out = tmp_path / "out"
    assert (
        tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "p1", "--site", "A") == 0
    )
    records = TileList.read(out / "cohort.csv").records
    places = [
        (0, 0, "2+"),
        (1, 0, "2+"),
        (2, 0, "2+"),
        (0, 1, "3+"),
        (1, 1, "3+"),
        (2, 1, "3+"),
        (1, 2, "0/1+"),
    ]
    assert [(r.x / SIDE, r.y / SIDE, r.label) for r in records] == places
    assert (out / "cohort.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    whole = read_image(slide)
    for record in records:
        x, y = int(record.x), int(record.y)
        assert record.path.name == f"{x}_{y}.png"
        np.testing.assert_array_equal(read_image(record.path), whole[y : y + SIDE, x : x + SIDE])
        assert record.sha256 == hashlib.sha256(record.path.read_bytes()).hexdigest()
        assert (record.slide, record.patient, record.site) == ("case.png", "p1", "A")
        assert (record.mpp, record.tissue_fraction) == (0.25, 1.0)
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[1:5]] == [
        ["0/1+", "1", "1"], ["2+", "4", "3"], ["3+", "3", "3"], ["all", "8", "7"],
    ]  # fmt: skip
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    none = {"no_stain": 0, "pale": 0, "too_little": 0}
    report["classes"][1].pop("quality")
    assert report["classes"][1] == {"label": "2+", "inside": 4, "tissue": 3, "glass": 1, **none}
    assert (report["regions"], report["repaired"], report["two_labels"], report["unreadable"]) == (
        3,
        0,
        0,
        [],
    )


def test_the_same_slides_give_the_same_bytes(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    for out in ("one", "two"):
        assert tiles(slide, "--annotations", annotation, "--out", tmp_path / out, *SMALL) == 0
    first, second = (
        {
            path.relative_to(tmp_path / out): path.read_bytes()
            for path in (tmp_path / out).rglob("*.*")
            if path.is_file()
        }
        for out in ("one", "two")
    )
    assert len(first) == 13  # seven tiles, two lists, an overview and three contact sheets
    assert first == second


def test_several_slides_find_their_annotations_by_name(tmp_path: Path) -> None:
    slides = [make_slide(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    for name in "ab":
        annotate(tmp_path / "drawn" / f"{name}.geojson", ("3+" if name == "a" else "2+", (0, 0, 2, 1)))
    assert tiles(*slides, "--annotations", tmp_path / "drawn", "--out", tmp_path / "out", *SMALL) == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.slide, r.label) for r in records] == [("a.png", "3+")] * 2 + [("b.png", "2+")] * 2


def test_a_folder_is_added_to_patient_by_patient(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    other, out = make_slide(tmp_path / "other.png", 2), tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "p1") == 0
    before = (out / "cohort.csv").read_text()
    add = (other, "--annotations", annotation, "--out", out, "--mpp", 0.25, "--patient", "p2")
    assert tiles(*add, "--tile-px", 32) == 73
    assert "choose a new --out" in capsys.readouterr().err
    assert tiles(*add, "--tile-px", SIDE) == 0
    records = TileList.read(out / "cohort.csv").records
    assert [(r.slide, r.patient) for r in records] == [("case.png", "p1")] * 7 + [("other.png", "p2")] * 7
    assert (out / "cohort.csv").read_text().startswith(before)
    assert [one["slide"] for one in json.loads((out / "tiles.json").read_text())["slides"]] == [
        "case.png",
        "other.png",
    ]
    assert tiles(*add, "--tile-px", SIDE) == 73
    assert "found tiles of other.png already" in capsys.readouterr().err
    copy = tmp_path / "copy.png"
    copy.write_bytes(slide.read_bytes())
    assert tiles(copy, "--annotations", annotation, "--out", out, *SMALL) == 73


def test_tiles_of_other_making_are_left_alone(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cohort.csv").write_text("mine")
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 73
    assert (tmp_path / "out" / "cohort.csv").read_text() == "mine"


def test_a_coarser_tile_covers_more_of_the_slide(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    sizes = ("--tile-px", SIDE // 2, "--tile-mpp", 0.5, "--mpp", 0.25)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *sizes) == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.x, r.y) for r in records][:4] == [(0, 0), (64, 0), (128, 0), (0, 64)]
    assert read_image(records[0].path).shape == (32, 32, 3)
    assert records[0].mpp == 0.5


def test_a_share_inside_is_enough_where_asked_for(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--min-inside", 0.9) == 0
    assert sum(r.label == "0/1+" for r in TileList.read(out / "cohort.csv").records) == 2
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--min-inside", 1.5) == 2


def test_class_names_are_mapped_by_option_file_or_recipe(tmp_path: Path) -> None:
    slide = make_slide(tmp_path / "s.png")
    annotation = annotate(tmp_path / "s.geojson", ("Strong", (0, 0, 1, 1)), ("Tissue", (0, 1, 1, 2)))
    (tmp_path / "map.json").write_text('{"strong": "3+", "tissue": "ignore"}')
    (tmp_path / "mine.py").write_text(
        "from msgspec.structs import replace\n"
        "from her2edge_training.recipes.paper_se_resnet50 import RECIPE as PAPER\n"
        "from her2edge_training.recipe import Stage\n"
        "RECIPE = replace(PAPER, tile_px=64, stages=(Stage(64, 1, 1e-4, 16),),\n"
        "                 classes=(('STRONG', '3+'), ('Tissue', 'ignore')))\n"
    )
    for number, options in enumerate(
        [
            (*SMALL, "--label", "strong=3+", "--label", "Tissue=ignore"),
            (*SMALL, "--labels", tmp_path / "map.json"),
            ("--mpp", 0.25, "--recipe", tmp_path / "mine.py"),
        ]
    ):
        out = tmp_path / str(number)
        assert tiles(slide, "--annotations", annotation, "--out", out, *options) == 0
        assert [(r.label, r.x, r.y) for r in TileList.read(out / "cohort.csv").records] == [("3+", 0, 0)]
    wrong = (*SMALL, "--out", tmp_path / "out", "--annotations", annotation)
    assert tiles(slide, *wrong, "--label", "Strong=4+", "--label", "Tissue=ignore") == 2
    assert tiles(slide, *wrong, "--label", "Strong") == 2


def test_the_table_of_classes_is_part_of_a_recipe() -> None:
    recipe = load_recipe("paper_se_resnet50")
    assert recipe.classes == CLASSES
    assert msgspec.json.decode(dump_recipe(recipe), type=Recipe) == recipe
    with pytest.raises(OptionError, match="label '4\\+' for class 'strong'"):
        replace(recipe, classes=(("strong", "4+"),))


def test_unknown_classes_of_all_annotations_are_listed_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides = [make_slide(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    annotate(tmp_path / "a.geojson", ("Stroma", (0, 0, 1, 1)), ("3+", (1, 0, 2, 1)))
    annotate(tmp_path / "b.geojson", ("Necrosis", (0, 0, 1, 1)), ("Stroma", (1, 0, 2, 1)))
    assert tiles(*slides, "--annotations", tmp_path, "--out", tmp_path / "out", *SMALL) == 65
    said = capsys.readouterr().err
    assert "'Necrosis' in b.geojson; 'Stroma' in a.geojson, b.geojson" in said
    assert '--label "Necrosis=3+"' in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_repaired_left_out_and_disputed_regions_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = make_slide(tmp_path / "s.png")
    bow_tie = [[0, 0], [SIDE, SIDE], [SIDE, 0], [0, SIDE], [0, 0]]
    objects = [
        feature([bow_tie]),
        feature([1, 2], "Point"),
        feature([square(0, SIDE, 3 * SIDE, 2 * SIDE)]),
        feature([square(2.5 * SIDE, SIDE, 3 * SIDE, 2 * SIDE)], classification={"name": "2+"}),
        feature([square(9999, 0, 99999, 99)]),
    ]
    (tmp_path / "s.geojson").write_text(json.dumps(objects))
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", tmp_path / "s.geojson", "--out", out, *SMALL) == 0
    said = capsys.readouterr().out
    for words in (
        "1 region(s) crossed",
        "1 object(s)",
        "1 region(s) lie outside",
        "1 tile(s) in regions of two",
    ):
        assert words in said
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    assert [report[name] for name in ("repaired", "left_out", "outside", "two_labels")] == [1, 1, 1, 1]


@needs("tiles/bcss-roi-1008.jpg")
def test_a_known_polygon_on_a_real_region_gives_its_tiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = SHARED / "tiles" / "bcss-roi-1008.jpg"  # 3584 x 2560: 7 x 5 tiles of 512 px
    outline = [[512, 0], [3584, 0], [3584, 1536], [1024, 2560], [512, 2560], [512, 0]]
    hole = square(1100, 600, 1200, 700)
    (tmp_path / "roi.geojson").write_text(json.dumps(feature([outline, hole])))
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", tmp_path / "roi.geojson", "--out", out, "--mpp", 0.25) == 0
    # rows 0..2: columns 1..6, less column 2 of row 1 (the hole); the slope from (3584, 1536) to (1024, 2560)
    # falls 204.8 px a column: row 3 (to 2048) keeps columns 1..3, row 4 (to 2560) column 1
    expected = {(c, r) for r in range(3) for c in range(1, 7)} - {(2, 1)} | {(1, 3), (2, 3), (3, 3), (1, 4)}
    shape = shapely.Polygon(outline, [hole])
    assert all(
        shape.covers(shapely.box(c * 512, r * 512, c * 512 + 512, r * 512 + 512)) == ((c, r) in expected)
        for c in range(7)
        for r in range(5)
    )
    image = cv2.cvtColor(cv2.imread(str(slide)), cv2.COLOR_BGR2RGB)
    tissue = {
        (c, r)
        for c, r in expected
        if not TissueFilter().is_background(image[r * 512 : r * 512 + 512, c * 512 : c * 512 + 512])
    }
    records = TileList.read(out / "cohort.csv").records
    assert {(int(r.x) // 512, int(r.y) // 512) for r in records} == tissue
    assert [line.split() for line in capsys.readouterr().out.splitlines()][3] == [
        "3+",
        "21",
        str(len(tissue)),
    ]


@needs("wsi/cmu-1-small-region.svs")
def test_tiles_of_a_real_slide_are_those_that_classify_reads(tmp_path: Path) -> None:
    slide = SHARED / "wsi" / "cmu-1-small-region.svs"  # 20x: a tile of 512 px covers 256.5 pixels
    (tmp_path / "a.geojson").write_text(json.dumps(feature([square(0, 1000, 1600, 1800)])))
    assert tiles(slide, "--annotations", tmp_path / "a.geojson", "--out", tmp_path / "out") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    with SlideReader(slide) as source:
        step = source.grid(TileSize(512, 0.25)).step
        inside = [
            t for t in source.tiles(TileSize(512, 0.25)) if t.x + step <= 1600 and 1000 <= t.y <= 1800 - step
        ]
    kept = [tile for tile in inside if not TissueFilter().is_background(tile.pixels)]
    assert len(inside) == 18  # columns 0..5, rows 4..6
    assert 0 < len(kept) == len(records)
    for record, tile in zip(records, kept, strict=True):
        assert (record.x, record.y) == pytest.approx((tile.x, tile.y))
        np.testing.assert_array_equal(read_image(record.path), tile.pixels)


def test_tissue_without_two_stains_is_not_cut_and_what_is_wrong_is_counted_by_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = two_stains(SIDE, 6 * SIDE)
    pixels[:, SIDE : 2 * SIDE] = (160, 80, 140)  # one colour
    pixels[:, 2 * SIDE : 3 * SIDE] = 255 - pixels[:, 2 * SIDE : 3 * SIDE]
    pixels[30:34, 3 * SIDE : 4 * SIDE] = (40, 120, 20)  # green ink
    pixels[:, 4 * SIDE : 5 * SIDE] = (230, 190, 220)  # pale
    pixels[:54, 5 * SIDE :] = 245
    slide = tmp_path / "case.png"
    slide.write_bytes(cv2.imencode(".png", pixels)[1])
    annotation = annotate(tmp_path / "case.geojson", ("3+", (0, 0, 6, 1)))
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL) == 0
    assert [record.x / SIDE for record in TileList.read(out / "cohort.csv").records] == [0, 3]
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    (count,) = [count for count in report["classes"] if count["label"] == "3+"]
    assert (count["no_stain"], count["glass"], count["pale"], count["too_little"]) == (2, 0, 1, 1)
    assert count["quality"]["pen"] == 1
    assert capsys.readouterr().out.splitlines()[5:9] == [
        "2 tile(s) of tissue in regions show no two stains and were left out: 3+ 2",
        "background, pale tissue: 3+ 1",
        "background, too little tissue: 3+ 1",
        "of the tiles cut, pen: 3+ 1",
    ]


def test_black_padding_is_not_cut_and_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scanners and converters pad with black, which is dark, but no tissue."""
    pixels = two_stains(SIDE, 4 * SIDE)
    pixels[:, SIDE : 2 * SIDE] = 0
    pixels[: SIDE // 4, 2 * SIDE : 3 * SIDE] = 0  # a quarter black is tissue still
    pixels[: SIDE // 4, 3 * SIDE :] = 0
    pixels[SIDE // 2 :, 3 * SIDE :] = 240  # a quarter black and half of it glass is not
    slide = tmp_path / "case.png"
    slide.write_bytes(cv2.imencode(".png", pixels)[1])
    annotation = annotate(tmp_path / "case.geojson", ("3+", (0, 0, 4, 1)))
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL) == 0
    assert [record.x / SIDE for record in TileList.read(out / "cohort.csv").records] == [0, 2]
    assert "2 tile(s) in regions are mostly black padding" in capsys.readouterr().out
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    assert report["black"] == 2
