"""`her2edge tiles` draws what it cut: a contact sheet of each class, an overview of each slide."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import SIDE, SMALL, annotate, make_slide, tiles

from her2edge.slide import read_image
from her2edge_training.cohort.contact_sheets import draw_contact_sheet
from her2edge_training.cohort.tile_list import TileList, TileRecord


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Row 0: 2+ with a tile of glass; row 1: two tiles of 3+; row 2: nothing."""
    slide = make_slide(tmp_path / "case.png")
    drawn = annotate(tmp_path / "case.geojson", ("2+", (0, 0, 4, 1)), ("3+", (0, 1, 2, 2)))
    assert tiles(slide, "--annotations", drawn, "--out", tmp_path / "out", *SMALL) == 0
    return tmp_path / "out"


def test_an_overview_shows_cut_tiles_in_the_colour_of_their_class_and_leaves_the_others(
    tmp_path: Path, out: Path
) -> None:
    (overview,) = (out / "overviews").iterdir()
    assert overview.stem == next((out / "tiles").iterdir()).name
    picture, slide = read_image(overview).astype(int), read_image(tmp_path / "case.png").astype(int)

    def change(column: int, row: int) -> np.ndarray:
        """Mean change of a quarter of a tile, where neither line nor letter is."""
        at = np.s_[row * SIDE + 10 : row * SIDE + 20, column * SIDE + 8 : column * SIDE + 20]
        return np.asarray((picture[at] - slide[at]).mean((0, 1)))

    orange, red = np.array((253, 174, 97)), np.array((215, 48, 39))
    for (column, row), colour in {(0, 0): orange, (2, 0): orange, (1, 1): red}.items():
        at = np.s_[row * SIDE + 10 : row * SIDE + 20, column * SIDE + 8 : column * SIDE + 20]
        np.testing.assert_allclose(change(column, row), 0.25 * (colour - slide[at].mean((0, 1))), atol=1)
    for column, row in ((3, 0), (2, 1), (0, 2)):  # glass, and what no region holds
        np.testing.assert_allclose(change(column, row), 0, atol=0.01)
    assert len(picture) > 3 * SIDE + 60  # scale bar and legend below


def test_a_contact_sheet_shows_the_tiles_of_its_class(out: Path) -> None:
    assert {path.name for path in (out / "contact").iterdir()} == {"2+.png", "3+.png"}
    sheet = read_image(out / "contact" / "2+.png")
    tile = read_image(next(r for r in TileList.read(out / "cohort.csv").records if r.x == SIDE).path)
    whole = cv2.resize(tile, (160, 160), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(sheet[60:220, 176:336], whole)


def test_a_contact_sheet_has_tiles_of_every_slide_and_fits_on_a_screen(tmp_path: Path) -> None:
    """One slide of 300 tiles does not push out the others of two."""
    records = []
    for slide, count in enumerate((300, 2, 2)):
        path = tmp_path / f"{slide}.png"
        path.write_bytes(cv2.imencode(".png", np.full((16, 16, 3), 60 + 40 * slide, np.uint8))[1].tobytes())
        name = f"s{slide}"
        records += [TileRecord(path.name, tmp_path, name, "", "", "3+", 0, 0, 0.25, 1.0, "")] * count
    sheet = draw_contact_sheet(records)
    area = {slide: int((sheet == 60 + 40 * slide).all(-1).sum()) / 160**2 for slide in range(3)}
    assert [round(area[slide]) for slide in range(3)] == [44, 2, 2]
    assert sheet.shape[1] < 1400
    assert sheet.shape[0] < 1400


def test_a_contact_sheet_is_of_all_tiles_in_the_folder_not_of_the_last_run(tmp_path: Path, out: Path) -> None:
    before = read_image(out / "contact" / "3+.png")
    other = make_slide(tmp_path / "other.png", 2)
    drawn = annotate(tmp_path / "other.geojson", ("3+", (0, 0, 1, 1)))
    assert tiles(other, "--annotations", drawn, "--out", out, *SMALL) == 0
    after = read_image(out / "contact" / "3+.png")
    np.testing.assert_array_equal(after[60:220, 8:336], before[60:220, 8:336])
    assert (after[60:220, 344:504] < 250).all(-1).mean() > 0.9
    assert len(list((out / "overviews").iterdir())) == 2
