"""`her2edge tiles --from-folders DATA`: class folders as labs keep them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import SIDE, SMALL, make_slide, tiles, two_stains
from faults import failing_files

from her2edge.slide import read_image
from her2edge_training.cohort.split import make_split
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.recipe import Split

FOLDERS = ("0-1+", "HER2_2+", "positive")
LABELS = ("0/1+", "2+", "3+")


def image(path: Path, seed: int, side: int = SIDE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), two_stains(side, side, seed))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three patients of two tiles in each class folder; one is a JPEG."""
    for number, folder in enumerate(FOLDERS):
        for patient in range(3):
            for tile in range(2):
                name = f"P{number}{patient}_block_{tile}.{'jpg' if tile else 'png'}"
                image(tmp_path / "data" / folder / name, 10 * number + 2 * patient + tile)
    return tmp_path / "data"


def run(data: Path, *more: object) -> int:
    return tiles("--from-folders", data, "--out", data.parent / "out", *SMALL, *more)


def test_tile_images_are_taken_as_they_are_with_the_class_of_their_folder_and_the_patient_of_their_name(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data) == 0
    out = data.parent / "out"
    records = TileList.read(out / "cohort.csv").records
    assert [(r.patient, r.slide, r.label) for r in records[::2]] == [
        (f"P{n}{p}", f"P{n}{p}", label) for n, label in enumerate(LABELS) for p in range(3)
    ]
    first = next(r for r in records if r.path.suffix == ".jpg")
    assert first.path.read_bytes() == (data / "0-1+" / "P00_block_1.jpg").read_bytes()
    assert (first.mpp, first.x) == (0.25, None)
    said = capsys.readouterr().out
    assert "folders: 0-1+ is 0/1+, HER2_2+ is 2+, positive is 3+" in said
    assert "patients by the pattern '[^_/]+', e.g. P00 from P00_block_0" in said
    lines = [line.split() for line in said.splitlines()]
    assert [*lines[6:10], lines[10][3:7]] == [
        *(["0/1+", "3", "6"], ["2+", "3", "6"], ["3+", "3", "6"], ["all", "9", "18"]),
        ["P00", "2,", "P01", "2,"],
    ]
    assert "weak" not in said  # a person has chosen each tile
    assert sorted(path.name for path in (out / "contact").iterdir()) == ["0-1+.png", "2+.png", "3+.png"]
    reports = json.loads((out / "tiles.json").read_text())["slides"]
    assert {one["label_from"] for one in reports} == {"tile_folder"}


def test_glass_pale_and_too_little_are_counted_apart_by_class(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, colour in (("glass", (245, 245, 245)), ("pale", (220, 190, 230))):
        cv2.imwrite(str(data / "positive" / f"P20_{name}.png"), np.full((SIDE, SIDE, 3), colour, np.uint8))
    little = two_stains(SIDE, SIDE)
    little[:54] = 245
    cv2.imwrite(str(data / "HER2_2+" / "P10_little.png"), little)
    assert run(data) == 0
    said = capsys.readouterr().out
    for line in ("glass: 3+ 1", "pale tissue: 3+ 1", "too little tissue: 2+ 1"):
        assert f"background, {line}\n" in said
    reports = {
        one["slide"]: one for one in json.loads((data.parent / "out" / "tiles.json").read_text())["slides"]
    }
    count = reports["P20"]["classes"][2]
    assert (count["inside"], count["tissue"], count["glass"], count["pale"]) == (4, 2, 1, 1)


def test_a_folder_for_each_patient_names_it(tmp_path: Path) -> None:
    for number, folder in enumerate(LABELS[1:]):
        for patient in range(2):
            for tile in range(2):
                seed = 4 * number + 2 * patient + tile
                image(tmp_path / "data" / folder / f"case{number}{patient}" / f"{tile}_0.png", seed)
    assert run(tmp_path / "data") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [r.patient for r in records[::2]] == ["case00", "case01", "case10", "case11"]


def test_what_is_listed_can_be_split_by_patient(data: Path) -> None:
    assert run(data) == 0
    records = TileList.read(data.parent / "out" / "cohort.csv").records
    split = make_split(records, Split(), 1)
    parts = [{r.group for r in split.select(part)} for part in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [3, 3, 3]
    assert len(set.union(*parts)) == 9


def test_a_pattern_tells_patients_and_slides(data: Path) -> None:
    assert run(data, "--patient-pattern", r"(?P<slide>(?P<patient>P\d)\d)") == 0
    records = TileList.read(data.parent / "out" / "cohort.csv").records
    assert {(r.patient, r.slide) for r in records} == {
        (f"P{n}", f"P{n}{p}") for n in range(3) for p in range(3)
    }


def test_slides_in_class_folders_are_cut_whole_and_their_labels_are_weak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, folder in enumerate(("0", "2+", "3+")):
        make_slide(tmp_path / "data" / folder / f"P{number}_a.png", number)
    assert run(tmp_path / "data", "--site", "Ulm") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.slide, r.patient, r.site, r.label) for r in records[::9]] == [
        (f"P{n}_a.png", f"P{n}", "Ulm", label) for n, label in enumerate(LABELS)
    ]
    np.testing.assert_array_equal(
        read_image(records[0].path), read_image(tmp_path / "data" / "0" / "P0_a.png")[:SIDE, :SIDE]
    )
    said = capsys.readouterr().out
    assert "weak labels: all tiles of 3 slide(s) have the class of their slide's folder" in said
    assert "each file is a patient of its own: check that it is" in said


def test_an_empty_class_folder_is_refused_and_a_class_without_one_is_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "3+").mkdir()
    (data / "equivocal").mkdir()
    (data / "equivocal" / "notes.txt").write_text("later")
    assert run(data) == 66
    said = capsys.readouterr().err
    assert "data: found neither slides nor tile images in equivocal, 3+" in said
    assert '--label "equivocal=ignore"' in said
    assert not (data.parent / "out").exists()
    ignored = [("--label", f"{name}=ignore") for name in ("equivocal", "3+", "positive")]
    assert run(data, *[word for pair in ignored for word in pair]) == 0
    assert "no folder stands for 3+" in capsys.readouterr().out
    assert {r.label for r in TileList.read(data.parent / "out" / "cohort.csv").records} == {"0/1+", "2+"}


def test_one_patient_in_all_folders_is_refused_unless_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, folder in enumerate(LABELS[1:]):
        image(tmp_path / "data" / folder / f"tile_{number}.png", number)
    assert run(tmp_path / "data") == 65
    said = capsys.readouterr().err
    assert "found one patient, tile, in all 2 files by the pattern '[^_/]+', first tile_0" in said
    assert "--patient-pattern" in said
    assert not (tmp_path / "out").exists()
    assert run(tmp_path / "data", "--patient", "P1") == 0
    assert {r.patient for r in TileList.read(tmp_path / "out" / "cohort.csv").records} == {"P1"}


def test_a_patient_in_folders_of_several_classes_is_said_with_its_counts(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(data / "positive" / "P00_block_9.png", 99)
    assert run(data) == 0
    assert "1 patient(s) have files of several classes, check that they do: P00 (0/1+ 2, 3+ 1)" in (
        capsys.readouterr().out
    )


def test_unknown_class_folders_are_named_at_once_and_a_bare_number_is_one(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(data / "2" / "P9_0.png", 50)
    image(data / "stroma" / "P8_0.png", 51)
    assert run(data) == 65
    said = capsys.readouterr().err
    assert "unknown class folders: 2, stroma; expected names that stand for 0/1+, 2+, 3+" in said
    assert '--label "2=3+"' in said
    assert run(data, "--label", "2=2+", "--label", "stroma=ignore") == 0
    by_patient = {r.patient: r.label for r in TileList.read(data.parent / "out" / "cohort.csv").records}
    assert by_patient["P9"] == "2+"
    assert "P8" not in by_patient


def test_the_scale_of_tile_images_is_asked_for_and_must_be_the_recipes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--from-folders", data, "--out", data.parent / "out", "--tile-px", SIDE)
    assert tiles(*command) == 2
    assert "found 18 tile images, which state no scale: give it with --mpp" in capsys.readouterr().err
    assert tiles(*command, "--mpp", 0.5) == 2
    assert "give --tile-mpp 0.5" in capsys.readouterr().err
    assert tiles(*command, "--mpp", 0.5, "--tile-mpp", 0.5) == 0
    assert {r.mpp for r in TileList.read(data.parent / "out" / "cohort.csv").records} == {0.5}


def test_tile_images_that_are_too_small_are_left_out_and_said_or_refused(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(data / "positive" / "P20_small.png", 70, SIDE - 1)
    assert run(data) == 0
    assert "1 tile image(s) smaller than 64 x 64 px are left out" in capsys.readouterr().out
    command = ("--from-folders", data, "--out", data.parent / "two", "--mpp", 0.25)
    assert tiles(*command) == 65  # 512 px
    assert (
        "of at most 64 x 64 px, expected 512 or more each way: give --tile-px 64" in capsys.readouterr().err
    )


def test_the_same_tile_twice_is_refused_and_no_list_is_written(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "positive" / "P29_copy.png").write_bytes((data / "0-1+" / "P00_block_0.png").read_bytes())
    assert run(data) == 65
    said = capsys.readouterr().err
    assert "the same tile twice, as 0-1+/P00_block_0.png and positive/P29_copy.png" in said
    assert not (data.parent / "out" / "cohort.csv").exists()


def test_a_tile_image_that_is_damaged_is_named_and_the_others_are_taken(data: Path) -> None:
    whole = (data / "positive" / "P20_block_0.png").read_bytes()
    (data / "positive" / "P20_block_0.png").write_bytes(whole[: len(whole) // 2])
    assert run(data) == 3
    reports = json.loads((data.parent / "out" / "tiles.json").read_text())["slides"]
    (lost,) = [one for report in reports for one in report["unreadable"]]
    assert lost["error"].startswith("positive/P20_block_0.png: P20_block_0.png: cannot be decoded")
    assert len(TileList.read(data.parent / "out" / "cohort.csv").records) == 17


def test_results_inside_the_data_are_no_class_and_a_second_run_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--from-folders", data, "--out", data / "cohort", *SMALL)
    assert tiles(*command) == 0
    assert tiles(*command) == 73
    assert "found tiles of P00, P01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--patient-pattern", "("), 2, "expected a regular expression"),
        (("--patient-pattern", r"\d+"), 65, "found no patient in 18 of 18 names by the pattern"),
        (("--annotations", "x.geojson"), 2, "expected it alone"),
        (("x.svs",), 2, "expected it alone"),
        (("--redo", "P99"), 66, "found no slide or patient P99, expected some of P00, P01, P02, P10"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    data: Path, more: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, *more) == code
    assert says in capsys.readouterr().err
    assert not (data.parent / "out").exists()


def test_a_patient_whose_tiles_were_put_right_is_cut_again_where_it_stood(data: Path) -> None:
    assert run(data) == 0
    (data / "positive" / "P20_block_0.png").rename(data / "HER2_2+" / "P20_block_0.png")
    (data / "positive" / "P21_block_0.png").unlink()
    assert run(data, "--redo", "P20") == 0
    tiles = TileList.read(data.parent / "out" / "cohort.csv").records
    assert [(r.patient, r.label) for r in tiles if r.label != "0/1+"][6:] == [
        *(("P20", "2+"), ("P20", "3+"), ("P21", "3+"), ("P21", "3+"), ("P22", "3+"), ("P22", "3+"))
    ]
    there = {path for path in (data.parent / "out" / "tiles").rglob("*") if path.is_file()}
    assert there == {record.path for record in tiles}


def test_a_slide_in_another_class_folder_is_cut_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, folder in enumerate(("0", "2+", "3+")):
        make_slide(data / folder / f"P{number}_a.png", number)
    assert run(data) == 0
    (data / "3+" / "P2_a.png").rename(data / "2+" / "P2_a.png")
    make_slide(data / "3+" / "P3_a.png", 3)
    assert run(data, "--redo", "P2_a.png") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.slide, r.label) for r in records[::9]] == [
        *(("P0_a.png", "0/1+"), ("P1_a.png", "2+"), ("P2_a.png", "2+"))
    ]


def test_no_class_folder_at_all_says_what_one_looks_like(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none") == 66
    (tmp_path / "data").mkdir()
    image(tmp_path / "data" / "P1_0.png", 1)
    assert run(tmp_path / "data") == 66
    assert "expected one for each of 0/1+, 2+, 3+, e.g. data/3+" in capsys.readouterr().err


def test_a_full_disk_leaves_no_list_and_the_next_run_finishes(data: Path) -> None:
    assert run(data) == 0
    whole = (data.parent / "out" / "cohort.csv").read_bytes()
    with failing_files(0) as counted:
        assert tiles("--from-folders", data, "--out", data.parent / "counted", *SMALL) == 0
    for number in range(3, counted.calls, counted.calls // 6):
        out = data.parent / str(number)
        with failing_files(number):
            assert tiles("--from-folders", data, "--out", out, *SMALL) == 74
        assert not (out / "cohort.csv").exists()
        assert tiles("--from-folders", data, "--out", out, *SMALL) == 0
        assert (out / "cohort.csv").read_bytes() == whole
