"""`her2edge tiles --redo SLIDE`: a slide is cut again, in place of its former tiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn import SMALL, annotate, make_slide, tiles
from faults import failing_files

from her2edge_training.cohort.tile_list import TileList


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two tiles of a.png, patient P1, and three of b.png, patient P2."""
    for seed, (name, width) in enumerate({"a": 2, "b": 3}.items()):
        slide = make_slide(tmp_path / f"{name}.png", seed)
        drawn = annotate(tmp_path / f"{name}.geojson", ("3+", (0, 0, width, 1)))
        who = ("--patient", f"P{seed + 1}", "--site", "Ulm")
        assert tiles(slide, "--annotations", drawn, "--out", tmp_path / "out", *SMALL, *who) == 0
    return tmp_path / "out"


def rows(out: Path) -> list[tuple[str, str, str, str, float | None]]:
    records = TileList.read(out / "cohort.csv").records
    return [(r.slide, r.patient, r.site, r.label, r.x) for r in records]


def test_a_slide_whose_regions_were_corrected_is_cut_again_where_it_stood(tmp_path: Path, out: Path) -> None:
    drawn = annotate(tmp_path / "a.geojson", ("2+", (0, 1, 1, 2)))
    command = ("--annotations", drawn, "--out", out, *SMALL)
    assert tiles(tmp_path / "a.png", *command) == 73
    assert tiles("--redo", tmp_path / "a.png", *command) == 0
    assert rows(out) == [
        ("a.png", "P1", "Ulm", "2+", 0),
        *(("b.png", "P2", "Ulm", "3+", x) for x in (0, 64, 128)),
    ]
    there = {record.path for record in TileList.read(out / "cohort.csv").records}
    assert there == set((out / "tiles").rglob("*.png"))  # the former tiles are gone
    reports = json.loads((out / "tiles.json").read_text())["slides"]
    assert [(one["slide"], one["classes"][1]["tissue"]) for one in reports] == [("a.png", 1), ("b.png", 0)]
    assert len(list((out / "overviews").iterdir())) == 2


def test_a_slide_that_was_scanned_again_leaves_nothing_of_the_first_scan(tmp_path: Path, out: Path) -> None:
    make_slide(tmp_path / "a.png", 9)
    command = ("--annotations", tmp_path / "a.geojson", "--out", out, *SMALL)
    assert tiles("--redo", tmp_path / "a.png", *command, "--patient", "P7") == 0
    assert rows(out)[:2] == [("a.png", "P7", "Ulm", "3+", x) for x in (0, 64)]
    assert len(list((out / "tiles").iterdir())) == len(list((out / "overviews").iterdir())) == 2


def test_a_slide_that_was_renamed_is_the_same_slide(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.png").rename(tmp_path / "c.png")
    command = ("--annotations", tmp_path / "a.geojson", "--out", out, *SMALL)
    assert tiles(tmp_path / "c.png", *command) == 73
    assert tiles("--redo", tmp_path / "c.png", *command) == 0
    assert {row[:2] for row in rows(out)} == {("c.png", "P1"), ("b.png", "P2")}
    assert len(list((out / "overviews").iterdir())) == 2


def test_a_redo_that_gives_no_tile_or_finds_the_disk_full_leaves_the_list(tmp_path: Path, out: Path) -> None:
    before = (out / "cohort.csv").read_bytes()
    glass = annotate(tmp_path / "glass.geojson", ("3+", (3, 0, 4, 1)))
    assert tiles("--redo", tmp_path / "a.png", "--annotations", glass, "--out", out, *SMALL) == 65
    assert (out / "cohort.csv").read_bytes() == before
    drawn = annotate(tmp_path / "a.geojson", ("2+", (0, 1, 1, 2)))
    for number in (2, 8, 14, 20):
        with failing_files(number):
            assert tiles("--redo", tmp_path / "a.png", "--annotations", drawn, "--out", out, *SMALL) == 74
        assert (out / "cohort.csv").read_bytes() == before
        assert len(TileList.read(out / "cohort.csv").records) == 5


def test_slides_are_either_new_or_cut_again(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--annotations", tmp_path, *SMALL)
    assert tiles(tmp_path / "a.png", "--redo", tmp_path / "b.png", *command, "--out", out) == 2
    assert "found both SLIDE and --redo" in capsys.readouterr().err
    (tmp_path / "a.geojson").rename(tmp_path / "new.geojson")
    new = make_slide(tmp_path / "new.png", 5)
    assert tiles("--redo", new, *command, "--out", out) == 73
    assert "found no tiles of new.png to replace" in capsys.readouterr().err
    assert tiles("--redo", new, *command, "--out", tmp_path / "other") == 73
    assert "check --out" in capsys.readouterr().err


def test_tiles_that_an_earlier_version_cut_are_added_to(tmp_path: Path, out: Path) -> None:
    """Its tiles.json knows neither where labels are from nor of tiles left out by `--tiles-per-slide`."""
    report = json.loads((out / "tiles.json").read_text())
    del report["cutting"]["tiles_per_slide"]
    for slide in report["slides"]:
        del slide["label_from"], slide["passed_over"]
    (out / "tiles.json").write_text(json.dumps(report))
    drawn = annotate(tmp_path / "c.geojson", ("2+", (0, 0, 1, 1)))
    new = make_slide(tmp_path / "c.png", 4)
    assert tiles(new, "--annotations", drawn, "--out", out, *SMALL) == 0
    assert len(rows(out)) == 6
