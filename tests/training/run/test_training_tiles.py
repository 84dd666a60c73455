"""A run's tiles: which are left out, counted and named, and which are refused before training."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from tiny_run import RECIPE, edited, run

pytest.importorskip("keras")

from her2edge.errors import TileError
from her2edge_training.run.folder import RunFolder

pytestmark = pytest.mark.usefixtures("fresh_session")


def test_background_tiles_are_left_out_and_counted(tile_list: Path, tmp_path: Path) -> None:
    path = edited(
        tile_list,
        tmp_path,
        "slide00,patient00,site,0/1+,0,0,0.25,0.95",
        "slide00,patient00,site,0/1+,0,0,0.25,0.4",
    )
    _, lines = run(path, tmp_path / "run", epochs_limit=1)
    assert any("1 left out as background" in line for line in lines)


def test_what_labels_are_from_is_said_and_kept_in_the_record(tile_list: Path, tmp_path: Path) -> None:
    path = edited(tile_list, tmp_path, "", "")
    head, *rows = tile_list.read_text().splitlines()
    sources = ["score"] * 30 + ["regions"] * 6
    lines = [f"{row},{source}" for row, source in zip(rows, sources, strict=True)]
    path.write_text("\n".join([f"{head},label_from", *lines]))
    result, said = run(path, tmp_path / "run", epochs_limit=1)
    assert RunFolder(result.run).environment().label_from == {"regions": 6, "score": 30}
    assert any("30 tiles from the score of their slide (weak" in line for line in said)


def test_tiles_of_another_scale_are_refused(tile_list: Path, tmp_path: Path) -> None:
    with pytest.raises(TileError, match=r"0.5 um per pixel, the recipe expects 0.25"):
        run(edited(tile_list, tmp_path, ",0.25,", ",0.5,"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_background_is_refused(tile_list: Path, tmp_path: Path) -> None:
    with pytest.raises(TileError, match="all 36 tiles are background"):
        run(edited(tile_list, tmp_path, ",0.95,", ",0.1,"), tmp_path / "run")


def damaged(tile_list: Path, folder: Path) -> Path:
    """The cohort with one of its 36 tiles damaged."""
    path = edited(tile_list, folder, "", "")
    (folder / "c1-s2-t0.png").unlink()
    (folder / "c1-s2-t0.png").write_bytes(b"damaged")
    return path


def test_a_damaged_tile_above_the_stated_share_is_refused_before_anything_is_made(
    tile_list: Path, tmp_path: Path
) -> None:
    with pytest.raises(TileError, match=r"found 1 of 36 tiles.*c1-s2-t0.png has sha256.*at most 1 %"):
        run(damaged(tile_list, tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_tile_below_the_stated_share_is_left_out_named_and_counted(
    tile_list: Path, tmp_path: Path
) -> None:
    tolerant = replace(RECIPE, max_unreadable_share=1 / 36)
    result, lines = run(damaged(tile_list, tmp_path), tmp_path / "run", tolerant, epochs_limit=1)
    assert any(line.startswith("left out: ") and "c1-s2-t0.png" in line for line in lines)
    rows = (result.run / "unreadable.csv").read_text().splitlines()
    assert len(rows) == 2
    assert rows[1].startswith("c1-s2-t0.png,")
    assert "c1-s2-t0.png" not in (result.run / "split.csv").read_text()


@pytest.mark.parametrize("fault", ["truncated", "small"])
def test_a_bad_tile_of_any_part_is_found_before_training_although_its_hash_is_right(
    tile_list: Path, tmp_path: Path, fault: str
) -> None:
    path = edited(tile_list, tmp_path, "", "")
    for name in ("c0-s0-t0.png", "c1-s1-t1.png", "c2-s3-t2.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        small = cv2.imencode(".png", np.full((48, 64, 3), 120, np.uint8))[1].tobytes()
        bad = whole[: len(whole) // 2] if fault == "truncated" else small
        (tmp_path / name).write_bytes(bad)
        old, new = (hashlib.sha256(data).hexdigest() for data in (whole, bad))
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TileError, match=r"found 3 of 36 tiles that cannot be read"):
        run(path, tmp_path / "run")
    tolerant = replace(RECIPE, max_unreadable_share=0.1)
    result, _ = run(path, tmp_path / "run", tolerant, epochs_limit=1)
    assert len((result.run / "unreadable.csv").read_text().splitlines()) == 4
    assert str(tmp_path) not in (result.run / "unreadable.csv").read_text()


def test_a_class_without_a_tile_is_refused_by_name(tile_list: Path, tmp_path: Path) -> None:
    path = edited(tile_list, tmp_path, "", "")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if ",2+," not in line))
    for tile in tmp_path.glob("*.png"):
        tile.unlink()  # a link
        tile.write_bytes(b"no picture")  # none is decoded before
    with pytest.raises(TileError, match=r"found no tile of class 2\+ to train on"):
        run(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
