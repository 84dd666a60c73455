"""What `--gate-data` takes: slides, folders and lists, with and without labels. Needs no TensorFlow."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from her2edge.errors import Her2EdgeError, MissingInputError, TileError
from her2edge.slide import read_image
from her2edge.stain import StainMode
from her2edge_quantize.gate.gate_data import read_gate_data
from her2edge_quantize.gate.gate_store import GateStore, SlideTile, gate_inputs
from her2edge_training.cohort.store import network_inputs
from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.synthetic import even_cohort, write_dataset

RECIPE = Recipe("tiny", "se_resnet50", (Stage(64, 1, 1e-3, 4),), tile_px=64)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slides of four tiles: a labelled list."""
    return write_dataset(tmp_path_factory.mktemp("tiles"), even_cohort(3, 4, seed=9), tile_px=64)


def read(*paths: Path, count: int = 12) -> tuple[TileRecord, ...]:
    lines: list[str] = []
    return read_gate_data(paths, RECIPE, count, lines.append)


def without(tile_list: Path, out: Path, *columns: str, empty: tuple[str, ...] = ()) -> Path:
    """The list beside its tiles, less some columns, others without a cell filled in."""
    rows = list(csv.DictReader(tile_list.open()))
    path = tile_list.with_name(out.name)
    names = [name for name in rows[0] if name not in columns]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(row | dict.fromkeys(empty, "") for row in rows)
    return path


def write_slide(path: Path, seed: int, px: int = 320) -> Path:
    """A picture that passes for a slide: purple noise on the left half, glass on the right."""
    random = np.random.default_rng(seed)
    pixels = np.clip(random.normal((150, 90, 160), 25, (px, px, 3)), 0, 255).astype(np.uint8)
    pixels[:, px // 2 :] = 245
    cv2.imwrite(str(path), pixels[:, :, ::-1])
    return path


def slide_list(folder: Path, rows: str) -> Path:
    path = folder / "slides.csv"
    path.write_text("slide,patient,mpp\n" + rows)
    return path


def test_a_labelled_list_keeps_its_labels_and_the_same_without_any_has_none(tiles: Path) -> None:
    labelled, bare = read(tiles), read(without(tiles, Path("bare.csv"), "label"))
    assert labelled == TileList.read(tiles).records
    assert {one.label for one in bare} == {""}
    assert [one.sha256 for one in bare] == [one.sha256 for one in labelled]
    assert [one.group for one in bare] == [one.group for one in labelled]
    empty = read(without(tiles, Path("empty.csv"), empty=("label", "patient")))
    assert {one.group for one in empty} == {f"slide:{one.slide}" for one in labelled}


def test_a_list_without_labels_needs_two_columns_only(tiles: Path) -> None:
    columns = ("label", "patient", "site", "x", "y", "um_per_pixel", "tissue_fraction", "sha256")
    assert len(read(without(tiles, Path("two.csv"), *columns))) == 12


def test_a_folder_of_tiles_has_a_patient_for_each_folder_in_it(tiles: Path, tmp_path: Path) -> None:
    for record in TileList.read(tiles).records:
        place = tmp_path / "data" / record.slide
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.path, place / record.path.name)
    records = read(tmp_path / "data")
    assert {one.group for one in records} == {f"slide:{one.slide}" for one in TileList.read(tiles).records}
    assert {one.sha256 for one in records} == {one.sha256 for one in TileList.read(tiles).records}
    assert {one.slide for one in read(next((tmp_path / "data").iterdir()))} != {"data"}


def test_glass_among_the_tiles_is_left_out_since_it_never_flips(tmp_path: Path) -> None:
    write_slide(tmp_path / "tissue.png", 1, 64)
    cv2.imwrite(str(tmp_path / "glass.png"), np.full((64, 64, 3), 244, np.uint8))
    cv2.imwrite(str(tmp_path / "tissue.png"), np.full((64, 64, 3), 120, np.uint8))
    assert [one.tile for one in read(tmp_path)] == ["tissue.png"]


def test_tiles_of_slides_are_tissue_of_the_grid_and_read_from_the_slide(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.png", 1)
    records = read(slide_list(tmp_path, "a.png,P1,0.25\n"), count=4)
    assert len(records) == 10  # of 15 places with tissue enough
    assert {(one.patient, one.label) for one in records} == {("P1", "")}
    assert all(isinstance(one, SlideTile) and one.x < 160 for one in records)
    whole = read_image(tmp_path / "a.png")
    with GateStore(replace(RECIPE, stain=Stain(StainMode.OFF))) as store:
        for one in records:
            top, left = int(one.y), int(one.x)
            np.testing.assert_array_equal(store.read(one), whole[top : top + 64, left : left + 64])


def test_tiles_of_a_slide_are_the_same_at_every_run_and_evenly_of_all_slides(tmp_path: Path) -> None:
    for name in "abc":
        write_slide(tmp_path / f"{name}.png", ord(name), 640)
    listed = slide_list(tmp_path, "a.png,P1,0.25\nb.png,P2,0.25\nc.png,P2,0.25\n")
    records = read(listed, count=36)
    assert records == read(listed, count=36)
    assert [sum(one.slide == f"{name}.png" for one in records) for name in "abc"] == [15, 15, 15]
    assert len({one.group for one in records}) == 2


def test_a_folder_of_slides_is_one_of_slides(tmp_path: Path) -> None:
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.tif"), read_image(write_slide(tmp_path / "x.png", ord(name))))
    (tmp_path / "x.png").unlink()
    with pytest.raises(Her2EdgeError, match=r"um per pixel"):
        read(tmp_path)  # these files state no scale: the slides' own message says what to do


def test_network_inputs_of_files_are_those_of_training(tiles: Path) -> None:
    records = read(tiles)[:2]
    for own, other in zip(gate_inputs(records, RECIPE), network_inputs(records, RECIPE), strict=True):
        np.testing.assert_array_equal(own, other)


def test_the_same_tile_twice_is_refused(tiles: Path) -> None:
    with pytest.raises(TileListError, match="the same tile twice"):
        read(tiles, without(tiles, Path("again.csv"), "label"), without(tiles, Path("more.csv"), "label"))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("tile,label\na.png,2+\n", TileListError, "slide"),
        ("tile,patient\na.png,P\n", TileListError, "slide"),
        ("tile,slide\n../a.png,s\n", TileListError, "line 2: found tile '../a.png'"),
        ("tile,slide\nnone.png,s\n", MissingInputError, "line 2: no tile none.png"),
        ("tile,slide,um_per_pixel\na.png,s,two\n", TileListError, "um_per_pixel='two'"),
        ("tile,slide,um_per_pixel\na.png,s,0.5\n", TileError, "0.5 um per pixel"),
        ("patient\nP1\n", Her2EdgeError, "slide"),
        ("", Her2EdgeError, "slide"),
        ("Tile;Slide;um_per_pixel\na.png;s;0,5\n", TileError, "0.5 um per pixel"),
    ],
)
def test_lists_that_cannot_be_used_say_why(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    write_slide(tmp_path / "a.png", 1, 64)
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(error, match=words):
        read(tmp_path / "list.csv")


def test_a_path_that_is_not_there_and_a_single_tile_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read(tmp_path / "none.svs")
    with pytest.raises(TileListError, match="found one tile, expected slides"):
        read(write_slide(tmp_path / "a.png", 1, 64))
