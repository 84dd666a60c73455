"""tiles_of: a picture in memory is cut as the same picture on disk is read."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tiny

import her2edge as he
from her2edge.errors import OptionError, SlideError, TileError
from her2edge.slide import TileSize, encode_png
from her2edge.tile import Pixels

SPEC = TileSize(64, 0.5)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("mpp", [0.5, 0.25, 0.21, 0.7])
@pytest.mark.parametrize("size", [(128, 192), (150, 201), (40, 30)])
def test_a_frame_gives_the_tiles_that_its_png_gives_as_a_slide(
    tmp_path: Path, mpp: float, size: tuple[int, int]
) -> None:
    frame = noise(*size)
    (tmp_path / "frame.png").write_bytes(encode_png(frame))
    with he.SlideReader(tmp_path / "frame.png", mpp=mpp) as slide:
        wanted = [tile for tile in slide.tiles(SPEC) if isinstance(tile, he.Tile)]
    got = he.tiles_of(frame, SPEC, mpp=mpp, slide="frame.png")
    assert len(got) == len(wanted) > 0
    for tile, other in zip(got, wanted, strict=True):
        assert (tile.x, tile.y, tile.span, tile.mpp, tile.valid, tile.slide) == (
            other.x, other.y, other.span, other.mpp, other.valid, other.slide,
        )  # fmt: skip
        assert np.array_equal(tile.pixels, other.pixels)


def test_tiles_of_the_models_scale_are_the_frames_own_pixels_in_their_places() -> None:
    frame = noise(100, 128)
    tiles = he.tiles_of(frame, SPEC, x=1000.0, y=2000.5, slide="case")
    assert [(tile.x, tile.y) for tile in tiles] == [
        (1000.0, 2000.5), (1064.0, 2000.5), (1000.0, 2064.5), (1064.0, 2064.5),
    ]  # fmt: skip
    assert {tile.slide for tile in tiles} == {"case"}
    last = tiles[-1]
    assert last.valid == (36, 64)
    assert np.array_equal(last.pixels[:36], frame[64:, 64:])
    assert (last.pixels[36:] == 255).all()


def test_the_camera_may_fill_its_buffer_again_at_once() -> None:
    frame = noise(64, 128)
    before = frame.copy()
    tiles = he.tiles_of(frame, SPEC)
    frame[:] = 0
    assert np.array_equal(np.hstack([tile.pixels for tile in tiles]), before)


def test_a_view_of_a_larger_buffer_is_cut_as_its_copy() -> None:
    """Cameras deliver rows with padding, and pictures upside down."""
    view = noise(80, 300)[::-1, 10:210]
    ours = he.tiles_of(view, SPEC)
    assert all(
        np.array_equal(one.pixels, other.pixels)
        for one, other in zip(ours, he.tiles_of(view.copy(), SPEC), strict=True)
    )


def test_a_model_classifies_the_tiles_of_a_frame() -> None:
    model = he.Model.load(tiny.INT8)
    frame = np.hstack([tile.pixels for tile in tiny.tissue(3)])
    classifier = he.TileClassifier(model, he.Options(threads=1))
    got = list(classifier.stream(he.tiles_of(frame, model)))
    wanted = list(classifier.stream(tiny.tissue(3)))
    assert [one.label for one in got] == [one.label for one in wanted]
    assert all((a.probabilities == b.probabilities).all() for a, b in zip(got, wanted, strict=True))


def test_an_enlarged_frame_is_said_and_a_far_coarser_one_refused(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "her2edge"):
        he.tiles_of(noise(64, 64), SPEC, mpp=0.5)
        assert not caplog.records
        he.tiles_of(noise(64, 64), SPEC, mpp=0.6, slide="case")
    assert "case: found 0.6 um per pixel where the model needs 0.5" in caplog.text
    with pytest.raises(SlideError, match=r"found 1\.2 um per pixel, expected at most 1\.1"):
        he.tiles_of(noise(64, 64), SPEC, mpp=1.2)


@pytest.mark.parametrize("frame", [noise(9, 9)[..., 0], noise(9, 9) / 255.0, "frame.png", noise(9, 9)[:0]])
def test_what_is_no_frame_is_refused(frame: object) -> None:
    with pytest.raises(TileError, match="expected"):
        he.tiles_of(frame, SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"mpp": 0.0}, {"mpp": "40x"}, {"x": float("nan")}, {"y": "0"}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"found {next(iter(wrong))}="):
        he.tiles_of(noise(64, 64), SPEC, **wrong)  # type: ignore[arg-type]
