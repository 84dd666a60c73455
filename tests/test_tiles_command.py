"""`her2edge tiles`: annotated slides become labelled tiles and their manifest."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import shapely
from drawn import feature, square
from shared_data import SHARED, needs

from her2edge.errors import OptionError, OutputWriteError, SlideReadError
from her2edge.slide import SlideReader, TileSize, read_image, reader
from her2edge.slide.sample import sample
from her2edge.tissue import TissueFilter
from her2edge_cli.main import main
from her2edge_training import tiles as cutter
from her2edge_training.classes import CLASSES
from her2edge_training.manifest import COLUMNS, read_manifest
from her2edge_training.recipe import Recipe, dump_recipe, load_recipe

SIDE = 64
SMALL = ("--tile-px", SIDE, "--mpp", 0.25)


def make_slide(path: Path, seed: int = 1) -> Path:
    """4 x 3 tiles of 64 px, dark tissue; the last column is glass."""
    pixels = np.random.default_rng(seed).integers(60, 160, (3 * SIDE, 4 * SIDE, 3), np.uint8)
    pixels[:, 3 * SIDE :] = 240
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1])
    return path


def annotate(path: Path, *regions: tuple[str, tuple[float, float, float, float]]) -> Path:
    """Squares in units of tiles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            [
                feature([square(*(SIDE * at for at in box))], classification={"name": name})
                for name, box in regions
            ]
        )
    )
    return path


def tiles(*arguments: Any) -> int:
    return main(["tiles", *map(str, arguments)])


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Path]:
    """Row 0: 2+ with a tile of glass; row 1: three tiles of 3+; row 2: one tile of 0."""
    return make_slide(tmp_path / "case.png"), annotate(
        tmp_path / "case.geojson", ("2+", (0, 0, 4, 1)), ("HER2 3+", (0, 1, 3, 2)), ("0", (1, 2, 2.9, 3))
    )


def test_tiles_hold_the_slides_own_pixels_and_the_manifest_lists_them(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    out = tmp_path / "out"
    assert (
        tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "p1", "--site", "A") == 0
    )
    records = read_manifest(out / "manifest.csv")
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
    assert (out / "manifest.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    whole = read_image(slide)
    for record in records:
        x, y = int(record.x), int(record.y)
        assert record.path.name == f"{x}_{y}.png"
        np.testing.assert_array_equal(read_image(record.path), whole[y : y + SIDE, x : x + SIDE])
        assert record.sha256 == hashlib.sha256(record.path.read_bytes()).hexdigest()
        assert (record.slide, record.patient, record.site) == ("case.png", "p1", "A")
        assert (record.um_per_pixel, record.tissue_fraction) == (0.25, 1.0)
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[1:5]] == [
        ["0/1+", "1", "1"], ["2+", "4", "3"], ["3+", "3", "3"], ["all", "8", "7"],
    ]  # fmt: skip
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    assert report["classes"][1] == {"label": "2+", "inside": 4, "tissue": 3}
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
    assert len(first) == 9
    assert first == second


def test_several_slides_find_their_annotations_by_name(tmp_path: Path) -> None:
    slides = [make_slide(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    for name in "ab":
        annotate(tmp_path / "drawn" / f"{name}.geojson", ("3+" if name == "a" else "2+", (0, 0, 2, 1)))
    assert tiles(*slides, "--annotations", tmp_path / "drawn", "--out", tmp_path / "out", *SMALL) == 0
    records = read_manifest(tmp_path / "out" / "manifest.csv")
    assert [(r.slide, r.label) for r in records] == [("a.png", "3+")] * 2 + [("b.png", "2+")] * 2


def test_a_folder_is_added_to_patient_by_patient(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    other, out = make_slide(tmp_path / "other.png", 2), tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "p1") == 0
    before = (out / "manifest.csv").read_text()
    add = (other, "--annotations", annotation, "--out", out, "--mpp", 0.25, "--patient", "p2")
    assert tiles(*add, "--tile-px", 32) == 73
    assert "choose a new --out" in capsys.readouterr().err
    assert tiles(*add, "--tile-px", SIDE) == 0
    records = read_manifest(out / "manifest.csv")
    assert [(r.slide, r.patient) for r in records] == [("case.png", "p1")] * 7 + [("other.png", "p2")] * 7
    assert (out / "manifest.csv").read_text().startswith(before)
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
    (tmp_path / "out" / "manifest.csv").write_text("mine")
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 73
    assert (tmp_path / "out" / "manifest.csv").read_text() == "mine"


def test_a_coarser_tile_covers_more_of_the_slide(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    sizes = ("--tile-px", SIDE // 2, "--um-per-pixel", 0.5, "--mpp", 0.25)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *sizes) == 0
    records = read_manifest(tmp_path / "out" / "manifest.csv")
    assert [(r.x, r.y) for r in records][:4] == [(0, 0), (64, 0), (128, 0), (0, 64)]
    assert read_image(records[0].path).shape == (32, 32, 3)
    assert records[0].um_per_pixel == 0.5


def test_a_share_inside_is_enough_where_asked_for(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    out = tmp_path / "out"
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--min-inside", 0.9) == 0
    assert sum(r.label == "0/1+" for r in read_manifest(out / "manifest.csv")) == 2
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--min-inside", 1.5) == 2


def test_class_names_are_mapped_by_option_file_or_recipe(tmp_path: Path) -> None:
    slide = make_slide(tmp_path / "s.png")
    annotation = annotate(tmp_path / "s.geojson", ("Strong", (0, 0, 1, 1)), ("Tissue", (0, 1, 1, 2)))
    (tmp_path / "map.json").write_text('{"strong": "3+", "tissue": "ignore"}')
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
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
        assert [(r.label, r.x, r.y) for r in read_manifest(out / "manifest.csv")] == [("3+", 0, 0)]
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
    for words in ("1 region(s) crossed", "1 object(s)", "1 region(s) lie off", "1 tile(s) in regions of two"):
        assert words in said
    (report,) = json.loads((out / "tiles.json").read_text())["slides"]
    assert [report[name] for name in ("repaired", "left_out", "outside", "two_labels")] == [1, 1, 1, 1]


def test_a_part_that_cannot_be_decoded_is_named_and_skipped(
    tmp_path: Path,
    case: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(source: Any, x: float, y: float, *rest: Any) -> Any:
        if (x, y) == (SIDE, SIDE):
            raise SlideReadError("case.png: region at (64, 64) cannot be read")
        return sample(source, x, y, *rest)

    slide, annotation = case
    monkeypatch.setattr(reader, "sample", broken)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 3
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 6
    (report,) = json.loads((tmp_path / "out" / "tiles.json").read_text())["slides"]
    assert report["unreadable"] == [
        {"x": 64.0, "y": 64.0, "error": "case.png: region at (64, 64) cannot be read"}
    ]
    assert report["classes"][2] == {"label": "3+", "inside": 3, "tissue": 2}
    assert "1 tile(s) cannot be decoded" in capsys.readouterr().out


def test_a_slide_of_which_nothing_can_be_decoded_is_refused(
    tmp_path: Path, case: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise SlideReadError("broken")

    slide, annotation = case
    monkeypatch.setattr(reader, "sample", broken)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 65
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_a_missing_slide_or_annotation_is_named_with_its_exit_code(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    out = ("--out", tmp_path / "out", *SMALL)
    assert tiles(tmp_path / "gone.svs", tmp_path / "lost.svs", "--annotations", annotation, *out) == 66
    assert "no such slide: gone.svs, lost.svs" in capsys.readouterr().err
    assert tiles(slide, "--annotations", tmp_path / "no.geojson", *out) == 66
    assert "no.geojson: no such annotation file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert tiles(slide, "--annotations", tmp_path / "empty", *out) == 66
    assert "found no case.geojson" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ([("3+", (90.0, 0.0, 99.0, 9.0))], "expected them on case.png of 256 x 192 pixels"),
        (
            [("3+", (0.1, 0.1, 0.9, 0.9))],
            "found no tile of 64 px (16 um) wholly inside a region of case.geojson",
        ),
        ([("3+", (0.0, 0.0, 1.0, 1.0)), ("2+", (0.0, 0.0, 1.0, 1.0))], "all in regions of two labels"),
        ([("3+", (3.0, 0.0, 4.0, 3.0))], "all 3 tiles in regions are background"),
    ],
)
def test_annotations_that_give_no_tile_are_refused_with_what_to_do(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    regions: list[tuple[str, tuple[float, float, float, float]]],
    said: str,
) -> None:
    slide = make_slide(tmp_path / "case.png")
    annotation = annotate(tmp_path / "case.geojson", *regions)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 65
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_malformed_geojson_is_bad_input(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    annotation.write_text("{")
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 65
    assert not (tmp_path / "out").exists()


def test_slides_that_would_be_mistaken_for_each_other_are_refused(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    out = ("--annotations", tmp_path, "--out", tmp_path / "out", *SMALL)
    assert tiles(slide, make_slide(tmp_path / "b" / "case.png", 2), *out) == 2
    assert "two slides named case.png" in capsys.readouterr().err
    copy = tmp_path / "copy.png"
    copy.write_bytes(slide.read_bytes())
    (tmp_path / "copy.geojson").write_bytes(annotation.read_bytes())
    assert tiles(slide, copy, *out) == 2
    assert "the same slide twice, as case.png and copy.png" in capsys.readouterr().err
    assert tiles(slide, copy, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 2
    assert "one annotation file for 2 slides" in capsys.readouterr().err


def test_a_folder_is_no_slide_and_an_image_needs_its_scale(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    out = ("--annotations", annotation, "--out", tmp_path / "out", "--tile-px", SIDE)
    assert tiles(tmp_path, *out, "--mpp", 0.25) == 65
    assert tiles(slide, *out) == 65


def test_hostile_names_stay_in_the_folder_and_in_their_cells(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for seed, name in enumerate(("=cmd().png", "con.png", "‮gnp.png", "x" * 240 + ".png", " ..png")):
        slide = make_slide(tmp_path / "in" / name, seed)
        annotation = annotate(tmp_path / "a.geojson", ("3+", (0, 0, 1, 1)))
        assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "@sum") == 0
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL) == 73
    records = read_manifest(out / "manifest.csv")
    assert len({record.path.parent for record in records}) == 5
    assert all(record.path.resolve().is_relative_to(out.resolve() / "tiles") for record in records)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "a.geojson"}
    assert (records[0].slide, records[0].patient) == ("'=cmd().png", "'@sum")


@pytest.mark.parametrize("number", range(10))
def test_a_full_disk_leaves_no_manifest_and_the_next_run_finishes(
    tmp_path: Path, case: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    slide, annotation = case
    written: list[Path] = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == number:
            raise OutputWriteError(f"{path.name}: writing failed (No space left on device)")
        written.append(path)
        path.write_bytes(data)

    arguments = (slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(cutter, "write_bytes", full)
        patch.setattr("her2edge_training.manifest.write_bytes", full)
        if number == 9:  # seven tiles, the report and the manifest
            assert tiles(*arguments) == 0
            return
        assert tiles(*arguments) == 74
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert tiles(*arguments) == 0
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 7


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path,
    case: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("annotations", "places", "cutting", "tiles"):
        monkeypatch.delitem(sys.modules, f"her2edge_training.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "shapely", None)
    slide, annotation = case
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 78
    assert 'pip install "her2edge[train]"' in capsys.readouterr().err


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
    records = read_manifest(out / "manifest.csv")
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
    records = read_manifest(tmp_path / "out" / "manifest.csv")
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
