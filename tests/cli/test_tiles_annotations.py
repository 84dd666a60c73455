"""`her2edge tiles` with what QuPath exports besides plain regions: said, counted and kept in tiles.json."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from drawn import SIDE, SMALL, annotate, feature, make_slide, square, tiles

from her2edge_training.cohort.tile_list import TileList


def test_excluded_tiles_are_counted_and_ignored_ones_are_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = make_slide(tmp_path / "s.png")
    drawn = annotate(tmp_path / "s.geojson", ("3+", (0, 0, 3, 2)), ("Necrosis", (0.2, 0.2, 1.4, 0.8)))
    command = (slide, "--annotations", drawn, *SMALL)
    assert tiles(*command, "--out", tmp_path / "a") == 65
    message = capsys.readouterr().err
    assert "=exclude to cut it out of every region" in message
    assert "=ignore where a region around it may label what is in it" in message
    assert tiles(*command, "--out", tmp_path / "b", "--label", "Necrosis=ignore") == 0
    assert len(TileList.read(tmp_path / "b" / "cohort.csv").records) == 6
    capsys.readouterr()
    assert tiles(*command, "--out", tmp_path / "c", "--label", "Necrosis=exclude") == 0
    assert "2 tile(s) in excluded regions were left out" in capsys.readouterr().out
    records = TileList.read(tmp_path / "c" / "cohort.csv").records
    assert {(record.x / SIDE, record.y / SIDE) for record in records} == {(2, 0), (0, 1), (1, 1), (2, 1)}
    (report,) = json.loads((tmp_path / "c" / "tiles.json").read_text())["slides"]
    assert report["excluded"] == 2


def test_where_excluded_regions_take_every_tile_the_message_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = make_slide(tmp_path / "s.png")
    drawn = annotate(tmp_path / "s.geojson", ("3+", (0, 0, 2, 1)), ("Ignore*", (0.5, 0, 1.5, 1)))
    assert tiles(slide, "--annotations", drawn, "--out", tmp_path / "out", *SMALL) == 65
    assert "found 2 tile(s) in regions, of which excluded regions take 2" in capsys.readouterr().err


def test_two_slides_of_one_stem_need_an_annotation_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides = [make_slide(tmp_path / name, seed) for seed, name in enumerate(("A.png", "A.bmp"))]
    drawn = annotate(tmp_path / "drawn" / "A.geojson", ("3+", (0, 0, 2, 1))).parent
    command = (*slides, "--annotations", drawn, "--out", tmp_path / "out", *SMALL)
    assert tiles(*command) == 2
    assert "A.geojson: found one annotation file for the slides A.png and A.bmp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    annotate(drawn / "A.png.geojson", ("3+", (0, 0, 2, 1)))
    (drawn / "A.bmp.geojson.gz").write_bytes(
        gzip.compress(annotate(tmp_path / "x.geojson", ("2+", (0, 1, 1, 2))).read_bytes())
    )
    assert tiles(*command) == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv").records
    assert [(record.slide, record.label) for record in records] == [("A.png", "3+")] * 2 + [("A.bmp", "2+")]


def test_what_was_left_out_of_a_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide = make_slide(tmp_path / "s.png")
    there = feature([square(0, 0, SIDE, SIDE), [[1, 1], [2, 2], [1, 1]]])
    above = feature([square(0, SIDE, SIDE, 2 * SIDE)])
    above["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    (tmp_path / "s.geojson").write_text(json.dumps([there, above]))
    assert tiles(slide, "--annotations", tmp_path / "s.geojson", "--out", tmp_path / "out", *SMALL) == 0
    said = capsys.readouterr().out
    assert "1 outline(s) or hole(s) of fewer than four points were left out" in said
    assert "1 object(s) on another plane (z or t is not 0) were left out" in said
    (report,) = json.loads((tmp_path / "out" / "tiles.json").read_text())["slides"]
    assert (report["stray_rings"], report["other_plane"]) == (1, 1)
    assert len(TileList.read(tmp_path / "out" / "cohort.csv").records) == 1


def test_help_says_how_excluded_and_ignored_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert tiles("--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "exclude cuts a class out of every region" in said
    assert "a region around it still labels the tiles in it" in said
