"""Only the tiles inside regions: the same rows, resumed to the same files; what cannot be used is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from drawn import feature, square
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared_data import SHARED, needs
from small_slide import (
    arguments,
    classify,
    draw_folder,
    draw_slide,
    files_of,
    fingerprint,
    folder_of,
    interrupted_at,
    results_of,
    unreadable,
)

from her2edge import Model, Options, Settle, TileClassifier, classify_slide
from her2edge.answer import RandomOrder
from her2edge.errors import AnnotationError, OptionError
from her2edge.regions import Regions
from her2edge.results.class_map import BLEACH

COLUMNS, ROWS = 9, 8
SIDE = tiny.SIZE

# Places of an L of tiles, and of a block with a hole; the hole's tiles and those it only cuts are out.
CORNER = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2)]
BLOCK = [(4, 2), (5, 2), (6, 2), (4, 3), (6, 3), (4, 4), (5, 4), (6, 4)]
TUMOR = sorted(row * COLUMNS + column for column, row in CORNER + BLOCK)
STROMA = [7 * COLUMNS + 7]


def scaled(ring: list[list[float]]) -> list[list[float]]:
    return [[SIDE * x, SIDE * y] for x, y in ring]


def drawn(kind: str, name: str | None, *rings: list[list[float]]) -> dict[str, Any]:
    classification = None if name is None else {"name": name}
    return feature([scaled(ring) for ring in rings], kind, classification=classification)


REGIONS = [
    drawn("Polygon", "Tumor", [[0, 0], [1.5, 0], [1.5, 2], [3.2, 2], [3.2, 3], [0, 3], [0, 0]]),
    drawn("Polygon", "Tumor", square(3.9, 1.9, 7.1, 5.1), square(5.2, 3.2, 5.8, 3.8)),
    drawn("Polygon", "Stroma", square(7, 6.6, 8.4, 8)),
]


def write(path: Path, features: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png", COLUMNS, ROWS)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("regions") / "drawn.geojson", REGIONS)


@pytest.fixture(scope="module")
def every(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run over the whole slide."""
    out = tmp_path_factory.mktemp("every") / "out"
    assert classify(slide, out) == 0
    return out


@pytest.fixture(scope="module")
def tumor(slide: Path, regions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run over the regions of one class."""
    out = tmp_path_factory.mktemp("tumor") / "out"
    assert classify(slide, out, "--region", str(regions), "--class", "tumor") == 0
    return out


def rows_of(out: Path) -> dict[int, dict[str, str]]:
    table = csv.DictReader(io.StringIO((folder_of(out) / "tiles.csv").read_text()))
    return {int(float(row["y"])) // SIDE * COLUMNS + int(float(row["x"])) // SIDE: row for row in table}


def summary_of(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "summary.json").read_text())  # type: ignore[no-any-return]


def run_of(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "run.json").read_text())  # type: ignore[no-any-return]


def test_the_tiles_wholly_inside_regions_are_read_and_have_the_rows_of_a_run_over_the_slide(
    every: Path, tumor: Path
) -> None:
    rows, all_rows = rows_of(tumor), rows_of(every)
    assert list(all_rows) == list(range(COLUMNS * ROWS))
    assert list(rows) == TUMOR
    assert rows == {place: all_rows[place] for place in rows}
    ids = [
        {one["id"] for one in json.loads((folder_of(out) / "tiles.geojson").read_text())["features"]}
        for out in (tumor, every)
    ]
    assert ids[0] < ids[1]


def test_the_summary_and_the_provenance_say_which_regions(tumor: Path, every: Path, regions: Path) -> None:
    sha256 = hashlib.sha256(regions.read_bytes()).hexdigest()
    what = {"sha256": sha256, "classes": ["Tumor"], "places": len(TUMOR)}
    read = summary_of(tumor)["regions"]
    assert read == what | {"file": "drawn.geojson", "runs": read["runs"]}
    assert [n for first, count in read["runs"] for n in range(first, first + count)] == TUMOR
    assert all(first // COLUMNS == (first + count - 1) // COLUMNS for first, count in read["runs"])
    assert run_of(tumor)["basis"]["regions"] == what
    assert run_of(tumor)["basis"]["tiles"] == summary_of(tumor)["answer"]["tiles"]["total"] == len(TUMOR)
    assert summary_of(every)["regions"] is None


def test_python_reads_the_same_files(slide: Path, tumor: Path, regions: Path, tmp_path: Path) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    classify_slide(
        slide, tmp_path / "out", classifier, mpp=tiny.MPP, regions=Regions(regions, classes=("TUMOR ",))
    )
    assert files_of(tmp_path / "out") == files_of(tumor)
    run = classify_slide(slide, tmp_path / "all", classifier, mpp=tiny.MPP, regions=str(regions))
    assert run.answer.tiles.total == len(TUMOR) + len(STROMA)


@pytest.mark.parametrize("kept", [1, 5, len(TUMOR) - 1])
def test_an_interrupted_run_is_resumed_to_the_same_files(
    slide: Path, tumor: Path, regions: Path, tmp_path: Path, kept: int
) -> None:
    more = ("--region", str(regions), "--class", "Tumor")
    assert classify(slide, tmp_path / "out", *more, by=interrupted_at(kept)) == 130
    assert classify(slide, tmp_path / "out", *more) == 0
    assert files_of(tmp_path / "out") == files_of(tumor)
    assert run_of(tmp_path / "out")["resumed"] == kept


def test_failed_tiles_alone_are_read_again(slide: Path, tumor: Path, regions: Path, tmp_path: Path) -> None:
    more = ("--region", str(regions), "--class", "Tumor")
    lost = (TUMOR[2], TUMOR[7], 8)  # the last is outside: nobody asks for it
    with unreadable(lost, columns=COLUMNS):
        assert classify(slide, tmp_path / "out", *more) == 3
    assert [place for place, row in rows_of(tmp_path / "out").items() if row["outcome"] == "failed"] == [
        TUMOR[2],
        TUMOR[7],
    ]
    assert classify(slide, tmp_path / "out", *more) == 0
    assert results_of(tmp_path / "out") == files_of(tumor)
    assert run_of(tmp_path / "out")["resumed"] == len(TUMOR) - 2


def test_other_regions_are_another_run_and_the_same_in_a_file_of_another_name_are_not(
    slide: Path, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert classify(slide, out, "--region", str(regions)) == 0
    started = run_of(out)["started"], list(rows_of(out))
    moved = write(tmp_path / "moved" / "other.geojson", REGIONS)
    assert classify(slide, out, "--region", str(moved)) == 0
    assert "found complete results" in capsys.readouterr().err
    assert (run_of(out)["started"], list(rows_of(out))) == started
    assert classify(slide, out, "--region", str(write(moved, REGIONS[1:]))) == 0
    assert list(rows_of(out)) == sorted(BLOCK_PLACES + STROMA)
    assert classify(slide, out, by=interrupted_at(3)) == 130
    assert classify(slide, out, "--region", str(regions)) == 0
    assert "regions: found the whole slide, expected 14 places in regions" in capsys.readouterr().err
    assert list(rows_of(out)) == started[1]


BLOCK_PLACES = [row * COLUMNS + column for column, row in BLOCK]


def test_a_settled_reading_draws_from_the_places_inside(slide: Path, tmp_path: Path) -> None:
    """Their number is what the proof counts, and an order made again by hand is the journal's."""
    inside = [row * COLUMNS + column for row in range(1, 7) for column in range(1, 9)]
    large = write(tmp_path / "large.geojson", [drawn("Polygon", None, square(0.9, 0.9, 9, 7.5))])
    out = tmp_path / "out"
    more = ("--region", str(large), "--until-settled", "--max-tiles", "31")
    assert classify(slide, out, *more) == 0
    settled = summary_of(out)["answer"]["settled"]
    assert (settled["tiles_total"], settled["tiles_seen"]) == (len(inside), 31)
    mark = bytes.fromhex(fingerprint(slide))
    order = sorted(
        inside, key=lambda one: hashlib.blake2b(mark + one.to_bytes(8, "little"), digest_size=8).digest()
    )
    assert list(rows_of(out)) == sorted(order[:31])
    assert summary_of(out)["answer"]["tiles"]["unread"] == len(inside) - 31


@given(st.sets(st.integers(0, 59), min_size=1))
def test_a_random_order_of_some_places_is_that_of_all_without_the_others(some: set[int]) -> None:
    every = RandomOrder("ab" * 32, 10, 6).places.tolist()
    chosen = RandomOrder("ab" * 32, 10, 6, np.array(sorted(some, reverse=True)))
    assert chosen.places.tolist() == [place for place in every if place in some]
    assert len(chosen) == len(some)


@pytest.mark.parametrize("among", [[], [0, 0], [-1], [60]])
def test_places_that_are_none_of_the_grid_are_refused(among: list[int]) -> None:
    with pytest.raises(OptionError, match="places"):
        RandomOrder("ab" * 32, 10, 6, np.array(among, np.int64))


def test_the_picture_bleaches_what_lies_outside(tumor: Path, every: Path) -> None:
    read, whole = (
        np.asarray(Image.open(folder_of(out) / "heatmap.png")).astype(int) for out in (tumor, every)
    )
    for place, row in rows_of(every).items():
        if row["outcome"] == "background":
            y, x = place // COLUMNS * SIDE + SIDE // 3, place % COLUMNS * SIDE + SIDE // 3
            outside = whole[y, x] * (1 - BLEACH) + 255 * BLEACH
            np.testing.assert_allclose(read[y, x], whole[y, x] if place in TUMOR else outside, atol=1.5)


IGNORED = drawn("Polygon", "Artefact*", square(0.2, 0.2, 0.8, 0.8))


@pytest.mark.parametrize(
    ("features", "classes", "expected"),
    [
        ([*REGIONS, IGNORED], (), sorted([*TUMOR[1:], *STROMA])),
        ([*REGIONS, IGNORED], ("Tumor",), TUMOR[1:]),
        ([drawn("Polygon", "Artefact*", square(0, 0, 2, 1))], ("artefact*",), [0, 1]),
        ([drawn("Polygon", None, square(0, 0, 2, 1)), REGIONS[2]], ("Unclassified",), [0, 1]),
        ([drawn("Polygon", "Region*", square(0, 0, 2, 1))], (), [0, 1]),
        (
            [drawn("Polygon", "A", square(0, 0, 1.5, 1)), drawn("Polygon", "B", square(1.5, 0, 3, 1))],
            (),
            [0, 1, 2],
        ),
    ],
)
def test_classes_that_qupath_ignores_are_cut_out_unless_they_are_asked_for(
    slide: Path, tmp_path: Path, features: list[dict[str, Any]], classes: tuple[str, ...], expected: list[int]
) -> None:
    path = write(tmp_path / "a.geojson", features)
    more = [part for name in classes for part in ("--class", name)]
    assert classify(slide, tmp_path / "out", "--region", str(path), *more) == 0
    assert list(rows_of(tmp_path / "out")) == expected


@pytest.mark.parametrize(
    ("content", "classes", "words"),
    [
        ("", (), "empty file"),
        ("[", (), "malformed GeoJSON"),
        (json.dumps([]), (), "no annotated polygon"),
        (REGIONS, ("Tumour",), "expected one of 'Tumor' (2), 'Stroma' (1): did you mean 'Tumor'?"),
        (REGIONS, ("lung",), "expected one of 'Tumor' (2), 'Stroma' (1): name one of these"),
        ([IGNORED], (), "classes that QuPath ignores"),
        ([drawn("Polygon", "a", square(20, 20, 30, 30))], (), "pair each slide with its own annotation"),
        ([drawn("Polygon", "a", square(-9, -9, -5, -5))], (), "pair each slide with its own annotation"),
        ([drawn("Polygon", "a", square(0.1, 0.1, 1.9, 1.9))], (), "no tile wholly inside a region"),
        ([drawn("Polygon", "a", square(0, 0, 0.01, 0.01))], (), "if they are in another unit"),
        ([drawn("Polygon", "a", square(0, 0, 1, 1)), IGNORED], (), "all taken by excluded ones"),
        ([feature([1, 2], "Point")], (), "no annotated polygon"),
        (REGIONS, (" ",), "expected the name of a class"),
    ],
)
def test_regions_that_cannot_be_used_are_refused_by_name_and_nothing_is_written(
    slide: Path, tmp_path: Path, content: Any, classes: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    with pytest.raises((AnnotationError, OptionError)) as caught:
        classify_slide(slide, tmp_path / "out", classifier, mpp=tiny.MPP, regions=Regions(path, classes))
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_region_off_the_slide_is_said(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.geojson", [*REGIONS, drawn("Polygon", "Tumor", square(20, 20, 30, 30))])
    assert classify(slide, tmp_path / "out", "--region", str(path)) == 0
    assert "1 of the regions in a.geojson lie outside the slide" in capsys.readouterr().err


@needs(SHARED / "qupath")
def test_an_export_of_another_real_slide_is_refused(slide: Path, tmp_path: Path) -> None:
    path = SHARED / "qupath" / "multipolygon.geojson"
    assert classify(slide, tmp_path / "out", "--region", str(path)) == 65
    assert not (tmp_path / "out").exists()


def test_a_folder_holds_the_regions_of_each_slide_and_a_slide_without_costs_that_slide(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.png").write_bytes(slide.read_bytes())
    write(tmp_path / "regions" / "one.geojson", REGIONS)
    command = [str(folder / "two.png"), "--region", str(tmp_path / "regions")]
    assert classify(folder / "one.png", tmp_path / "out", *command) == 3
    (made,) = (tmp_path / "out").iterdir()
    assert made.name.startswith("one.png-")
    assert "found no two.geojson" in capsys.readouterr().err
    assert (
        classify(folder / "one.png", tmp_path / "b", str(folder / "two.png"), "--region", "a.geojson") == 66
    )
    one = str(tmp_path / "regions" / "one.geojson")
    assert classify(folder / "one.png", tmp_path / "b", str(folder / "two.png"), "--region", one) == 2
    assert "found one file of regions for 2 slides" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_folder_of_tiles_and_a_class_without_regions_are_refused(
    slide: Path, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = draw_folder(tmp_path / "tiles", 3)
    assert classify(tiles, tmp_path / "out", "--region", str(regions)) == 2
    assert "no places on a slide" in capsys.readouterr().err
    assert classify(slide, tmp_path / "out", "--class", "Tumor") == 2
    assert not (tmp_path / "out").exists()


def test_settle_and_regions_may_come_together_in_python(slide: Path, regions: Path, tmp_path: Path) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    run = classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP, regions=regions, settle=Settle())
    assert run.answer.settled is not None
    assert run.answer.settled.tiles_seen == len(TUMOR) + len(STROMA)  # fewer than the minimum: all are read


def test_without_shapely_the_extra_is_named_and_whole_slides_are_read(
    slide: Path, regions: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['shapely'] = None\nimport her2edge_cli\nher2edge_cli.run()"
    for more, expected in ((["--region", str(regions)], 78), ([], 0)):
        command = [sys.executable, "-c", code, *arguments(slide, tmp_path / "out", *more)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stderr
        assert ("her2edge[regions]" in done.stderr) == bool(more)


def test_a_page_of_regions_says_that_it_is_not_of_the_whole_slide(slide: Path, tmp_path: Path) -> None:
    regions = write(tmp_path / "slide.geojson", REGIONS)
    assert classify(slide, tmp_path / "out", "--region", str(regions), "--class", "Tumor", "--report") == 0
    page = (folder_of(tmp_path / "out") / "report.html").read_text(encoding="utf-8")
    assert f"Only of the {len(TUMOR)} tiles inside regions: slide.geojson, Tumor." in page
    assert hashlib.sha256(regions.read_bytes()).hexdigest() in page
    assert classify(slide, tmp_path / "whole", "--report") == 0
    assert "inside regions" not in (folder_of(tmp_path / "whole") / "report.html").read_text(encoding="utf-8")


def test_the_command_says_that_only_regions_were_read_each_time(
    slide: Path, tumor: Path, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--region", str(regions), "--class", "Tumor")
    for _ in range(2):  # the second finds complete results
        assert classify(slide, tmp_path / "out", *more) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("slide.png, only inside regions: ")
        assert said[1] == f"  Only of the {len(TUMOR)} tiles inside regions: drawn.geojson, Tumor."
        assert classify(slide, tmp_path / "json", *more, "--json") == 0
        assert json.loads(capsys.readouterr().out)["regions"] == summary_of(tumor)["regions"]
    assert classify(slide, tmp_path / "json", "--json") == 0
    assert "regions" not in json.loads(capsys.readouterr().out)
