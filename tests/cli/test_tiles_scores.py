"""`her2edge tiles --cohort LIST` without annotations: each tile has the score of its slide, a weak label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn import SIDE, annotate, make_slide, tiles
from shared_data import SHARED, needs

from her2edge_training.cohort.tile_list import TileList

PX = ("--tile-px", SIDE)


def write(
    folder: Path, *rows: str, head: str = "slide,score,mpp,patient,site", encoding: str = "utf-8"
) -> Path:
    """A list beside a.png, b.png, c.png of 3 x 3 tiles of tissue and a column of glass."""
    for seed, name in enumerate("abc"):
        make_slide(folder / f"{name}.png", seed)
    (folder / "list.csv").write_bytes("\r\n".join((head, *rows)).encode(encoding))
    return folder / "list.csv"


def test_all_whole_tiles_of_a_slide_have_its_score_and_that_is_said_to_be_weak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,P1,Ulm", "b.png,HER2: 0,0.25,P2,", "c.png,2,0.25,,")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX) == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.slide, r.label, r.patient, r.site) for r in records[::9]] == [
        ("a.png", "3+", "P1", "Ulm"),
        ("b.png", "0/1+", "P2", ""),
        ("c.png", "2+", "", ""),
    ]
    assert {(r.x, r.y) for r in records[:9]} == {(x * SIDE, y * SIDE) for x in range(3) for y in range(3)}
    said = capsys.readouterr().out
    assert "weak labels: all tiles of 3 slide(s) have the score of their slide, tumour or not" in said
    assert "background, glass: 0/1+ 3, 2+ 3, 3+ 3" in said  # by class
    assert "1 slide(s) without a patient: each counts as one of its own" in said
    reports = json.loads((tmp_path / "out" / "tiles.json").read_text())["slides"]
    assert {(one["label_from"], one["annotation"], one["regions"]) for one in reports} == {("score", "", 0)}
    assert [one["classes"][2]["glass"] for one in reports] == [3, 0, 0]
    assert len(list((tmp_path / "out" / "overviews").iterdir())) == 3


def test_tiles_of_drawn_regions_are_not_said_to_be_weak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,0,0.25,P1,")
    drawn = annotate(tmp_path / "a.geojson", ("3+", (0, 0, 2, 1)))
    assert tiles("--cohort", listed, "--annotations", drawn, "--out", tmp_path / "out", *PX) == 0
    assert {r.label for r in TileList.read(tmp_path / "out" / "cohort.csv").records} == {"3+"}
    assert "weak" not in capsys.readouterr().out


def test_a_list_that_excel_saved_in_german_gives_the_same_tiles(tmp_path: Path) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,Müller,Köln")
    assert tiles("--cohort", listed, "--out", tmp_path / "one", *PX) == 0
    head = "\ufeffSlide;Score;MPP;Patient;Site"
    listed = write(tmp_path, "a.png;3+;0,25;Müller;Köln", ";;;;", head=head)
    assert tiles("--cohort", listed, "--out", tmp_path / "two", *PX) == 0
    assert (tmp_path / "one" / "cohort.csv").read_bytes() == (tmp_path / "two" / "cohort.csv").read_bytes()


def test_all_that_is_missing_is_named_at_once_with_lines_that_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,", "b.png,,0.25", "c.png,,", head="slide,score,mpp")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX) == 65
    said = capsys.readouterr().err
    assert (
        "no score of b.png (row 3), c.png (row 4) and no um per pixel of a.png (row 2), c.png (row 4)" in said
    )
    assert 'e.g. "slide,score,mpp,patient" and below it "case.svs,3+,0.25,P07"' in said
    assert said.count("\n") == 1
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX, "--mpp", 0.25) == 65
    assert "no um per pixel" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_slide_and_score_are_asked_for_where_the_scale_is_known(tmp_path: Path) -> None:
    listed = write(tmp_path, "a.png,3+", "b.png,2+", head="slide,score")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX, "--mpp", 0.25) == 0
    groups = {r.group for r in TileList.read(tmp_path / "out" / "cohort.csv").records}
    assert groups == {"slide:a.png", "slide:b.png"}


def test_scores_outside_the_labels_are_named_with_rows_and_may_be_given_a_meaning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,4+,0.25,P1,", "b.png,2+/FISH+,0.25,P2,", "c.png,2+,0.25,P3,")
    command = ("--cohort", listed, *PX)
    assert tiles(*command, "--out", tmp_path / "out") == 65
    said = capsys.readouterr().err
    assert "scores outside the labels: '4+' of a.png (row 2), '2+/FISH+' of b.png (row 3)" in said
    assert '--label "4+=3+", or =ignore' in said
    assert not (tmp_path / "out").exists()
    meant = ("--label", "2+/fish+=3+", "--label", "4+=ignore")
    assert tiles(*command, *meant, "--out", tmp_path / "out") == 0
    assert {(r.slide, r.label) for r in TileList.read(tmp_path / "out" / "cohort.csv").records} == {
        ("b.png", "3+"),
        ("c.png", "2+"),
    }
    assert "1 slide(s) of ignored scores are left out" in capsys.readouterr().out


def test_a_list_in_another_encoding_is_refused_with_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,Müller,", encoding="cp1252")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX) == 65
    assert "list.csv row 2: found byte 0xFC, as Windows-1252 or Latin-1" in capsys.readouterr().err


def test_without_regions_scores_or_folders_nothing_says_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = make_slide(tmp_path / "a.png")
    assert tiles(slide, "--out", tmp_path / "out", *PX, "--mpp", 0.25) == 2
    said = capsys.readouterr().err
    assert all(option in said for option in ("--annotations", "--cohort", "--from-folders"))
    listed = write(tmp_path, "b.png,3+,0.25,P1,")
    assert tiles(slide, "--cohort", listed, "--out", tmp_path / "out", *PX, "--mpp", 0.25) == 65
    assert "no score of a.png:" in capsys.readouterr().err


def test_a_slide_smaller_than_a_tile_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,P1,")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", "--tile-px", 200) == 65
    assert "a.png: found 256 x 192 pixels of 0.25 um, expected a tile of 200 px" in capsys.readouterr().err


@needs("wsi/cmu-1-small-region.svs")
def test_a_real_slide_with_a_score_needs_no_more_than_that(tmp_path: Path) -> None:
    slide = SHARED / "wsi" / "cmu-1-small-region.svs"
    (tmp_path / "list.csv").write_text(f"slide;score\n{slide};2+\n")
    command = ("--cohort", tmp_path / "list.csv", "--tile-px", 256, "--tile-mpp", 0.5)
    assert tiles(*command, "--out", tmp_path / "out") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert 20 < len(records) < 100  # of 8 x 11 whole tiles
    assert {r.label for r in records} == {"2+"}


def test_a_share_inside_regions_means_nothing_without_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,P1,")
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX, "--min-inside", 0.5) == 2
    assert "found --min-inside without --annotations" in capsys.readouterr().err


def test_of_each_slide_as_many_tiles_are_cut_as_are_asked_for_from_all_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same ones at every run; what was not looked at is counted."""
    listed = write(tmp_path, "a.png,3+,0.25,P1,", "b.png,2+,0.25,P2,")
    for out in ("one", "two"):
        command = ("--cohort", listed, "--out", tmp_path / out, *PX, "--tiles-per-slide", 4)
        assert tiles(*command) == 0
    said = capsys.readouterr().out
    one, two = ((tmp_path / out / "cohort.csv").read_bytes() for out in ("one", "two"))
    assert one == two
    records = TileList.read(tmp_path / "one" / "cohort.csv").records
    assert [r.slide for r in records] == ["a.png"] * 4 + ["b.png"] * 4
    places = [[(r.y, r.x) for r in records if r.slide == name] for name in ("a.png", "b.png")]
    assert places[0] == sorted(places[0])
    assert places[0] != places[1]  # by content, no fixed places
    reports = json.loads((tmp_path / "one" / "tiles.json").read_text())["slides"]
    for report in reports:
        (count,) = [count for count in report["classes"] if count["inside"]]
        assert (count["inside"], count["tissue"]) == (12, 4)
        assert count["glass"] + 4 + report["passed_over"] == 12
    passed = sum(report["passed_over"] for report in reports)
    assert f"{passed} tile(s) were not looked at" in said
    assert tiles("--cohort", listed, "--out", tmp_path / "one", *PX) == 73  # cut otherwise


def test_a_score_that_was_corrected_in_the_list_is_taken_by_a_redo(tmp_path: Path) -> None:
    listed = write(tmp_path, "a.png,3+,0.25,P1,", "b.png,2+,0.25,P2,")
    command = ("--cohort", listed, "--out", tmp_path / "out", *PX)
    assert tiles(*command) == 0
    write(tmp_path, "a.png,0,0.25,P1,", "b.png,2+,0.25,P2,")
    assert tiles(*command, "--redo", tmp_path / "a.png") == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(r.slide, r.label, r.patient) for r in records[::9]] == [
        ("a.png", "0/1+", "P1"),
        ("b.png", "2+", "P2"),
    ]
    assert {path.name for path in (tmp_path / "out" / "contact").iterdir()} == {"0-1+.png", "2+.png"}


def test_all_slides_that_cannot_be_used_are_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = write(tmp_path, "a.png,3+,,P1,", "b.png,2+,0.25,P2,", "c.png,2+,0.25,P3,")
    (tmp_path / "a.png").write_bytes(b"no picture")
    whole = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(whole[: len(whole) // 2])
    assert tiles("--cohort", listed, "--out", tmp_path / "out", *PX) == 65
    said = capsys.readouterr().err
    assert "found 2 of 3 slides that cannot be used: a.png: cannot be decoded" in said
    assert "; c.png: cannot be decoded" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
