"""`her2edge tiles` on bad input: named, refused with its exit code, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import SIDE, SMALL, annotate, make_slide, tiles
from faults import failing_files, failing_reads

from her2edge_cli.main import main
from her2edge_training.cohort.tile_list import TileList


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Path]:
    """Row 0: 2+ with a tile of glass; row 1: three tiles of 3+; row 2: one tile of 0."""
    return make_slide(tmp_path / "case.png"), annotate(
        tmp_path / "case.geojson", ("2+", (0, 0, 4, 1)), ("HER2 3+", (0, 1, 3, 2)), ("0", (1, 2, 2.9, 3))
    )


def test_a_part_that_cannot_be_decoded_is_named_and_skipped(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    with failing_reads(6):  # the second tile of the second row
        assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 3
    assert len(TileList.read(tmp_path / "out" / "cohort.csv").records) == 6
    (report,) = json.loads((tmp_path / "out" / "tiles.json").read_text())["slides"]
    assert report["unreadable"] == [{"x": 64.0, "y": 64.0, "error": "slide.png: region cannot be read"}]
    assert {key: report["classes"][2][key] for key in ("label", "inside", "tissue", "no_stain")} == {
        "label": "3+",
        "inside": 3,
        "tissue": 2,
        "no_stain": 0,
    }
    assert "1 tile(s) cannot be decoded" in capsys.readouterr().out


def test_a_slide_of_which_nothing_can_be_decoded_is_refused(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case[0], annotate(tmp_path / "one.geojson", ("3+", (0, 0, 1, 1)))
    with failing_reads(1):
        assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL) == 65
    assert not (tmp_path / "out" / "cohort.csv").exists()


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
    assert not (tmp_path / "out" / "cohort.csv").exists()


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


def test_a_folder_of_tiles_is_no_slide_and_an_image_needs_its_scale(
    tmp_path: Path, case: tuple[Path, Path]
) -> None:
    slide, annotation = case
    out = ("--annotations", annotation, "--out", tmp_path / "out", "--tile-px", SIDE)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "tile.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
    assert tiles(tmp_path / "in", *out, "--mpp", 0.25) == 65
    assert tiles(slide, *out) == 65


def test_hostile_names_stay_in_the_folder_and_in_their_cells(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for seed, name in enumerate(("=cmd().png", "con.png", "‮gnp.png", "x" * 240 + ".png", " ..png")):
        slide = make_slide(tmp_path / "in" / name, seed)
        annotation = annotate(tmp_path / "a.geojson", ("3+", (0, 0, 1, 1)))
        assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL, "--patient", "@sum") == 0
    assert tiles(slide, "--annotations", annotation, "--out", out, *SMALL) == 73
    records = TileList.read(out / "cohort.csv").records
    assert len({record.path.parent for record in records}) == 5
    assert all(record.path.resolve().is_relative_to(out.resolve() / "tiles") for record in records)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "a.geojson"}
    assert (records[0].slide, records[0].patient) == ("=cmd().png", "@sum")
    assert ",'=cmd().png,'@sum," in (out / "cohort.csv").read_text()


def test_a_full_disk_leaves_no_tile_list_and_the_next_run_finishes(
    tmp_path: Path, case: tuple[Path, Path]
) -> None:
    """Whatever fails first: a folder, a tile, the report, the list; the last of all comes after the list."""
    slide, annotation = case
    arguments = (slide, "--annotations", annotation, *SMALL, "--out")
    with failing_files(0) as counted:
        assert tiles(*arguments, tmp_path / "whole") == 0
    assert counted.calls > 9 * 4  # seven tiles, the report and the list
    for number in range(2, counted.calls, 5):
        out = tmp_path / str(number)
        with failing_files(number):
            assert tiles(*arguments, out) == 74
        assert not (out / "cohort.csv").exists()
        assert tiles(*arguments, out) == 0
        assert (out / "cohort.csv").read_bytes() == (tmp_path / "whole" / "cohort.csv").read_bytes()


def test_a_tile_list_of_the_former_name_is_never_joined_by_a_second(
    tmp_path: Path, case: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, annotation = case
    out = ("--annotations", annotation, "--out", tmp_path / "out", *SMALL)
    assert tiles(slide, *out) == 0
    former = (tmp_path / "out" / "cohort.csv").rename(tmp_path / "out" / "manifest.csv")
    other = make_slide(tmp_path / "other.png", 2)
    assert tiles(other, *out) == 73
    assert "out: found manifest.csv, a tile list of an earlier version" in capsys.readouterr().err
    assert main(["synthesize", "--out", str(tmp_path / "out"), "--slides", "3", "--tiles", "1"]) == 73
    assert not (tmp_path / "out" / "cohort.csv").exists()
    assert len(TileList.read(former).records) == 7  # by its path it is read as ever
    former.rename(tmp_path / "out" / "cohort.csv")
    assert tiles(other, *out) == 0
    assert len(TileList.read(tmp_path / "out" / "cohort.csv").records) == 14


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, case: tuple[Path, Path]) -> None:
    slide, annotation = case
    arguments = ["tiles", slide, "--annotations", annotation, "--out", tmp_path / "out", *SMALL]
    code = f"""
import sys
sys.modules["shapely"] = None
from her2edge_cli.main import main
raise SystemExit(main({list(map(str, arguments))!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    assert 'pip install "her2edge[train]"' in done.stderr
    assert not (tmp_path / "out").exists()
