"""What a folder is: a list of slides or the tiles of one, by one rule; nothing is left out unsaid."""

from __future__ import annotations

import shutil

import cv2
import dicoms
import numpy as np
import pytest
import tiffs
from shared_data import SHARED, needs

from her2edge import SlideReader
from her2edge.errors import MissingInputError, SlideError, SlideReadError
from her2edge.slide import is_slide, look_into, slides_in

TILE = 64


def png(path, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((side, side, 3), np.uint8))
    return path


def names(contents):
    return [path.name for path in contents.slides]


def test_a_folder_with_a_slide_is_a_list_of_slides_and_pictures_beside_them_are_counted(tmp_path):
    (tmp_path / "sub").mkdir()
    tiffs.write(tmp_path / "sub" / "b.tif", tiffs.picture(256, 128))
    (tmp_path / "a.svs").write_bytes(b"truncated")
    tiffs.write(tmp_path / "small.tiff", tiffs.picture(64, 64), tile=(64, 64))
    tiffs.write(tmp_path / "stripped.tif", tiffs.picture(256, 256), tile=None)
    (tmp_path / "torn.tif").write_bytes(b"II*\0")
    for name in ("tile.png", "overview.PNG", "sub/c.jpg"):
        png(tmp_path / name, TILE if "tile" in name else 500)
    for name in ("notes.txt", "a.geojson", "Thumbs", ".hidden", ".cache/x.svs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    contents = look_into(tmp_path, TILE)
    assert names(contents) == ["a.svs", "stripped.tif", "b.tif", "torn.tif"]
    assert contents.left_out == {
        ".png": 2, ".geojson": 1, ".jpg": 1, ".tiff": 1, ".txt": 1, "hidden": 1, "without suffix": 1,
    }  # fmt: skip
    assert "found 4 slide(s); left out" in str(contents)
    assert "2 .png, " in str(contents)
    with pytest.raises(SlideError, match=r"1 slide\(s\) in the folder, a.svs for one"):
        SlideReader(tmp_path)


def test_the_slides_of_a_folder_are_those_of_a_watched_one(tmp_path):
    for name in ("a.svs", "b.ndpi", "c.mrxs", "e.scn", "f.bif", "g.vms"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Data0000.dat").write_bytes(b"x")
    (tmp_path / "g-0.jpg").write_bytes(b"x")
    (tmp_path / "g.vms").write_text("[Virtual Microscope Specimen]\nImageFile=g-0.jpg\n")
    contents = look_into(tmp_path, TILE)
    watched = [path for path, _ in slides_in(tmp_path, [path.name for path in tmp_path.iterdir()])]
    assert sorted(contents.slides) == sorted(watched)
    assert len(watched) == 6
    assert contents.left_out == {}  # what belongs to a slide is no file beside it


def test_a_folder_of_tiles_stays_one_whatever_large_picture_lies_beside_them(tmp_path):
    for name in ("a.png", "sub/b.jpg"):
        png(tmp_path / name, TILE)
    tiffs.write(tmp_path / "c.tif", tiffs.picture(64, 64), tile=(64, 64))
    tiffs.write(tmp_path / "overview.tif", tiffs.picture(512, 512), tile=None)
    png(tmp_path / "map.png", 900)
    (tmp_path / "list.csv").write_text("")
    contents = look_into(tmp_path, TILE)
    assert (contents.slides, contents.tiles) == ((), 5)
    assert contents.left_out == {".csv": 1}
    with SlideReader(tmp_path) as folder:
        assert folder.is_folder


def test_large_pictures_alone_are_slides_and_damaged_ones_tip_no_scale(tmp_path):
    png(tmp_path / "a.png", 2 * TILE + 1)
    (tmp_path / "b.jpg").write_bytes(b"damaged")
    assert names(look_into(tmp_path, TILE)) == ["a.png", "b.jpg"]
    png(tmp_path / "c.png", 2 * TILE)
    assert look_into(tmp_path, TILE).tiles == 3
    for name in ("a.png", "c.png"):
        (tmp_path / name).unlink()
    assert look_into(tmp_path, TILE).tiles == 1  # said as a failed tile


@needs("wsi")
def test_real_slides_are_slides(tmp_path):
    for path in (SHARED / "wsi").iterdir():
        shutil.copy(path, tmp_path)
        assert is_slide(path, 512)
    assert len(look_into(tmp_path, 512).slides) == 3


def test_the_files_of_a_dicom_series_are_one_slide(tmp_path):
    for level, side in enumerate((256, 128)):
        dicoms.write(tmp_path / f"{level}.dcm", tiffs.picture(side, side), instance=f"1.{level}")
    contents = look_into(tmp_path, TILE)
    assert names(contents) == ["0.dcm"]
    assert contents.left_out == {}


def test_results_are_not_looked_into_and_an_empty_folder_is_refused(tmp_path):
    png(tmp_path / "out" / "heatmap.png", 300)
    with pytest.raises(MissingInputError, match="neither slides nor tile images"):
        look_into(tmp_path, TILE, leave_out=tmp_path / "out")
    assert len(look_into(tmp_path, TILE).slides) == 1


def test_a_folder_that_cannot_be_listed_costs_itself(tmp_path, monkeypatch):
    (tmp_path / "a.svs").write_bytes(b"x")
    walk = __import__("os").walk

    def denied(root, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "closed")))
        return walk(root)

    monkeypatch.setattr("os.walk", denied)
    assert look_into(tmp_path, TILE).unlisted == ("closed",)
    monkeypatch.setattr("os.walk", lambda root, onerror: iter([onerror(PermissionError(13, "no"))][1:]))
    with pytest.raises(SlideReadError, match="cannot be listed"):
        look_into(tmp_path, TILE)


@pytest.mark.parametrize(
    ("name", "side", "slide"),
    [("a.png", 2 * TILE, False), ("a.png", 2 * TILE + 1, True), ("b.txt", 0, False)],
)
def test_a_file_by_itself_is_a_slide_by_its_format_or_its_size(tmp_path, name, side, slide):
    path = png(tmp_path / name, side) if side else tmp_path / name
    assert is_slide(path, TILE) is slide
    assert not is_slide(tmp_path / "gone.png", TILE)
    assert is_slide(tmp_path / "gone.svs", TILE)
