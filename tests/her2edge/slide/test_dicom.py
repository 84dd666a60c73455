"""DICOM: pixels as they are stored, or a refusal by name; slides of one series are not mixed."""

from __future__ import annotations

import time
from pathlib import Path

import dicoms
import numpy as np
import pytest
import tiffs

from her2edge.errors import Her2EdgeError, SlideError
from her2edge.slide import SlideReader, TileSize, fingerprint_slide, slides_in
from her2edge.slide.dicom import head_of, slides_of
from her2edge.tile import Tile
from her2edge.watch.inbox import Inbox

P = tiffs.picture()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("isolate", [False, True])
def test_a_slide_gives_its_pixels_and_says_its_scanner(tmp_path: Path, isolate: bool) -> None:
    path = dicoms.write(tmp_path / "a.dcm", P)
    with SlideReader(path, isolate=isolate) as slide:
        assert (slide.mpp, slide.scanner, slide.icc_profile) == (0.25, "Maker Model 5", False)
        (tile,) = slide.tiles(TileSize(256, 0.25))
    assert isinstance(tile, Tile)
    np.testing.assert_array_equal(tile.pixels, P)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"samples": 1, "photometric": "MONOCHROME2"}, "grey image"),
        ({"photometric": "MONOCHROME1"}, "grey image"),
        ({"bits": 12}, "12 bits per sample|16 bits per sample|16-bit"),
    ],
)
def test_pixels_that_are_no_8_bit_colours_are_refused_by_name(
    tmp_path: Path, more: dict[str, object], words: str
) -> None:
    path = dicoms.write(tmp_path / "a.dcm", P, **more)
    with pytest.raises(SlideError, match=rf"^a\.dcm: found .*({words})"):
        SlideReader(path)


def test_levels_of_one_slide_are_one(tmp_path: Path) -> None:
    for number, factor in enumerate((1, 2, 4)):
        pixels = np.ascontiguousarray(P[::factor, ::factor])
        dicoms.write(tmp_path / f"{number}.dcm", pixels, f"1.{number}", container="S1")
    ((path, files),) = slides_in(tmp_path, names_in(tmp_path))
    assert (path.name, len(files)) == ("0.dcm", 3)
    with SlideReader(path) as slide:
        assert slide.dimensions == (256, 256)


@pytest.mark.parametrize(
    ("second", "container"),
    [
        (P, "S2"),  # another slide by name
        (255 - P, "S1"),  # of the same size, which cannot be a level
        (P[:128], "S1"),  # of another shape
    ],
)
def test_slides_with_one_constant_series_are_each_refused_and_never_mixed(
    tmp_path: Path, second: np.ndarray, container: str
) -> None:
    dicoms.write(tmp_path / "a.dcm", P, "1.1", container="S1")
    dicoms.write(tmp_path / "b.dcm", second, "1.2", container=container)
    arrived = [slide.path.name for slide in Inbox(tmp_path, 0).arrived()]
    assert arrived == ["a.dcm", "b.dcm"]
    assert len({fingerprint_slide(tmp_path / name) for name in arrived}) == 2
    for name in arrived:
        with pytest.raises(SlideError, match="files of 2 slides with one Series Instance UID"):
            SlideReader(tmp_path / name)


def test_a_copy_of_a_file_is_no_second_slide(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        dicoms.write(tmp_path / name, P)
    assert len(slides_of(tmp_path.iterdir())) == 1
    with SlideReader(tmp_path / "a.dcm") as slide:
        assert slide.dimensions == (256, 256)


def test_the_cost_of_a_folder_is_linear(tmp_path: Path) -> None:
    """Each slide looked at the whole folder: 1,500 files took 12.6 s."""
    took = []
    for count in (100, 800):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            dicoms.write(folder / f"{number}.dcm", P[:64, :64], f"1.{number}", f"1.3.{number}")
        time.sleep(0.2)  # what was written just now is looked at again
        began = time.perf_counter()
        for path, _ in slides_in(folder, names_in(folder)):
            fingerprint_slide(path)
        took.append(time.perf_counter() - began)
    assert took[1] < 8 * took[0] * 3 + 0.2


def test_a_file_that_joins_a_slide_is_seen_at_once(tmp_path: Path) -> None:
    path = dicoms.write(tmp_path / "a.dcm", P, "1.1")
    alone = fingerprint_slide(path)
    dicoms.write(tmp_path / "b.dcm", np.ascontiguousarray(P[::2, ::2]), "1.2")
    assert fingerprint_slide(path) != alone


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutants_raise_only_her2edge_errors(tmp_path: Path) -> None:
    import mutants

    whole = dicoms.write(tmp_path / "whole.dcm", P[:64, :64]).read_bytes()
    (tmp_path / "whole.dcm").unlink()
    random = np.random.default_rng(8)
    path = tmp_path / "a.dcm"
    for _ in range(300):
        path.write_bytes(mutants.mutate(whole, random))
        head_of(path)
        try:
            mutants.read_slide(path)
        except Her2EdgeError as error:
            assert str(error).isprintable()  # noqa: PT017 - most are read, or lose tiles
