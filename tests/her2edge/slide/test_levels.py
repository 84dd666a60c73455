"""Levels are smaller pictures of the whole, other pages are not read, and the frame is QuPath's."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import tiffs
from numpy.typing import NDArray
from shared_data import SHARED, needs

from her2edge.errors import SlideError
from her2edge.slide import SlideReader, TileSize, read_image, sources
from her2edge.slide.levels import Level, plan_levels
from her2edge.tile import Tile

P = tiffs.picture(512, 768)


def write_pages(path: Path, *pages: tuple[NDArray[np.uint8], dict[str, Any]], **more: Any) -> Path:
    with tifffile.TiffWriter(path, **more) as writer:
        for pixels, options in pages:
            plain = {"tile": (128, 128), "photometric": "rgb", "metadata": None, **tiffs.QUARTER_UM}
            writer.write(pixels, **{**plain, **options})
    return path


def shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of whole blocks, sizes rounded down, as scanners do."""
    height, width = (side // factor for side in pixels.shape[:2])
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(blocks.mean((1, 3)).round(), np.uint8)


def tiles_of(path: Path, spec: TileSize, mpp: float | None = None) -> list[Tile]:
    with SlideReader(path, mpp=mpp) as slide:
        tiles = list(slide.tiles(spec))
    return [tile for tile in tiles if isinstance(tile, Tile)]


@pytest.mark.parametrize(
    ("full", "size", "expected"),
    [
        ((46000, 32914), (11500, 8228), (4, 4)),  # CMU-1.svs, rounded down
        ((46000, 32914), (2875, 2057), (16, 16)),
        ((15374, 17497), (1921, 2187), (8, 8)),  # JP2K-33003-1.svs
        ((2010, 20003), (502, 5000), (4, 4)),
        ((2010, 20003), (503, 5001), (4, 4)),  # rounded up
        ((2010, 20003), (502, 5001), (4, 4)),  # rounded to the nearest
        ((4443, 3567), (2221, 1783), (2, 2)),
        ((1001, 803), (400, 321), (1001 / 400, 803 / 321)),  # by 2.5: each axis its own
        ((768, 512), (128, 128), None),  # a label
        ((768, 512), (192, 126), None),
        ((512, 512), (128, 126), None),
        ((768, 512), (768, 512), (1, 1)),
        ((100_000, 80_000), (3, 2), (32768, 32768)),
    ],
)
def test_ratios_are_whole_where_rounding_explains_the_sizes(
    full: tuple[int, int], size: tuple[int, int], expected: tuple[float, float] | None
) -> None:
    stated = (full[0] / size[0] + full[1] / size[1]) / 2
    planned = plan_levels([full, size], [1.0, stated])
    assert planned[0] == Level(*full)
    assert planned.get(1) == (Level(*size, *expected, stated) if expected else None)


def test_a_pyramid_rounded_down_gives_coarse_tiles_that_do_not_drift(tmp_path: Path) -> None:
    full = tiffs.picture(8003, 402)
    path = write_pages(tmp_path / "a.tif", (full, {}), (shrunk(full, 4), {"subfiletype": 1}))
    for scale, size in ((4.0, 64), (5.0, 64)):
        worst = 0.0
        for tile in tiles_of(path, TileSize(size, 0.25 * scale)):
            rows, columns = tile.valid or (size, size)
            y, x = round(tile.y), round(tile.x)
            step = round(scale)
            rows, columns = (min(n, (side - at) // step) for n, side, at in
                             zip((rows, columns), full.shape, (y, x), strict=False))  # fmt: skip
            part = full[y : y + rows * step, x : x + columns * step]
            if not part.size:
                continue
            wanted = part.reshape(rows, step, columns, step, 3).mean((1, 3))
            worst = max(worst, float(np.abs(tile.pixels[:rows, :columns] - wanted).mean()))
        assert worst < 3  # 12 pixels of drift: 40


def test_a_rounded_level_is_read_at_its_own_scale_and_not_the_finer_one(tmp_path: Path) -> None:
    full = np.zeros((803, 402, 3), np.uint8)
    coarse = np.full((200, 100, 3), 40, np.uint8)
    path = write_pages(tmp_path / "a.tif", (full, {}), (coarse, {"subfiletype": 1}))
    first, *_ = tiles_of(path, TileSize(32, 1.0))
    np.testing.assert_array_equal(first.pixels, 40)


@pytest.mark.parametrize("marked", [{"subfiletype": 1}, {"subfiletype": 1, "compression": "zlib"}])
def test_a_label_marked_as_reduced_is_no_level(tmp_path: Path, marked: dict[str, Any]) -> None:
    label = np.full((160, 160, 3), 7, np.uint8)
    path = write_pages(tmp_path / "a.tif", (P, {}), (shrunk(P, 2), marked), (label, marked))
    with SlideReader(path) as slide:
        small = slide.thumbnail(150)
        coarse = [tile.pixels for tile in slide.tiles(TileSize(100, 0.25 * 7.68)) if isinstance(tile, Tile)]
    assert small is not None
    reference = cv2.resize(P, (150, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - reference).mean() < 2
    assert all((tile != 7).any() for tile in coarse)


def test_a_level_of_other_pixels_is_none(tmp_path: Path) -> None:
    grey = {"subfiletype": 1, "photometric": "minisblack"}
    path = write_pages(tmp_path / "a.tif", (P, {}), (np.ascontiguousarray(shrunk(P, 4)[..., 0]), grey))
    with SlideReader(path) as slide:
        small = slide.thumbnail(96)
    assert small is not None
    assert np.abs(small.astype(int) - cv2.resize(P, (96, 64), interpolation=cv2.INTER_AREA)).mean() < 2


SMALL = np.full((96, 96, 3), 9, np.uint8)
STRIPS: dict[str, Any] = {"tile": None}


@pytest.mark.parametrize("more", [STRIPS, {}], ids=["strips", "tiles"])
@pytest.mark.parametrize("big", [False, True])
def test_a_small_page_first_is_not_taken_for_the_slide(
    tmp_path: Path, more: dict[str, Any], big: bool
) -> None:
    path = write_pages(tmp_path / "a.tif", (SMALL, more), (P, more), bigtiff=big)
    with pytest.raises(SlideError, match=r"^a\.tif: found 2 pages, .*page 1 \(96 x 96 .*page 2 .*768 x 512"):
        SlideReader(path, mpp=0.25)


def test_a_small_strip_page_before_tiles_is_not_taken_for_the_slide(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", (SMALL, STRIPS), (P, {}))
    with pytest.raises(SlideError, match="found 2 pages"):
        SlideReader(path, mpp=0.25)
    with pytest.raises(SlideError, match="found 2 pages"):
        read_image(path)


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("more", [STRIPS, {}], ids=["strips", "tiles"])
def test_a_page_that_is_not_read_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, more: dict[str, Any], isolate: bool
) -> None:
    path = write_pages(tmp_path / "a.tif", (P, more), (SMALL, more))
    with caplog.at_level(logging.WARNING, "her2edge"), SlideReader(path, mpp=0.25, isolate=isolate) as slide:
        assert slide.dimensions == (768, 512)
    assert [record.getMessage() for record in caplog.records] == [
        "a.tif: found 2 pages, and reads page 1 (768 x 512 pixels) only"
    ]


def test_a_pyramid_and_a_thumbnail_in_strips_are_no_pages_to_tell_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thumbnail = {"tile": None, "subfiletype": 1}
    path = write_pages(tmp_path / "a.tif", (P, {}), (shrunk(P, 2), {"subfiletype": 1}), (SMALL, thumbnail))
    with caplog.at_level(logging.WARNING, "her2edge"), SlideReader(path):
        pass
    assert not caplog.records


def test_a_pyramid_in_sub_pages_is_read_at_its_full_size(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        plain = {"tile": (128, 128), "photometric": "rgb", "metadata": None, **tiffs.QUARTER_UM}
        writer.write(P, subifds=2, **plain)
        for factor in (2, 4):
            writer.write(shrunk(P, factor), subfiletype=1, **plain)
    (tile,) = tiles_of(path, TileSize(768, 0.25))
    np.testing.assert_array_equal(tile.pixels[:512], P)


@needs("wsi/cmu-1-small-region.svs", "wsi/tcga-cr-7395-01a-01-ts1.svs")
def test_labels_and_macros_of_a_scanner_are_neither_levels_nor_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "her2edge"):
        for name, scanner, profile in (
            ("cmu-1-small-region.svs", "aperio CPAPERIOCS", False),
            ("tcga-cr-7395-01a-01-ts1.svs", "aperio", "sRGB IEC61966-2.1"),
        ):
            with SlideReader(SHARED / "wsi" / name, mpp=0.499) as slide:
                assert (slide.scanner, slide.icc_profile) == (scanner, profile)
    assert not caplog.records


class Framed:
    """A slide behind OpenSlide's interface that states its bounds; outside of level 0 all is transparent."""

    pixels = np.dstack([P, np.full(P.shape[:2], 255, np.uint8)])
    bounds = (0, 0, 768, 512)

    def __init__(self, path: Path) -> None:
        self.level_dimensions, self.level_downsamples = ((768, 512),), (1.0,)
        keys = (f"openslide.bounds-{key}" for key in ("x", "y", "width", "height"))
        self.properties = {key: str(value) for key, value in zip(keys, self.bounds, strict=True)}
        self.properties |= {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        (x, y), (width, height) = location, size
        around = np.pad(self.pixels, ((999, 999), (999, 999), (0, 0)))
        return around[y + 999 : y + 999 + height, x + 999 : x + 999 + width]

    def set_cache(self, cache: int) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "bounds",
    [(-40, -64, 700, 500), (-40, 30, 900, 600), (11, 23, 130, 64), (12, 24, 900, 64), (0, 0, 768, 512)],
)
def test_the_frame_is_the_rectangle_that_the_file_states_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int, int]
) -> None:
    """As QuPath's OpenslideImageServer: its corner is (0, 0), whether or not it lies in level 0."""
    error = type("E", (Exception,), {})
    module = SimpleNamespace(
        OpenSlide=type("F", (Framed,), {"bounds": bounds}),
        OpenSlideCache=int,
        OpenSlideError=error,
        OpenSlideUnsupportedFormatError=type("U", (error,), {}),
    )
    monkeypatch.setattr(sources, "_import_openslide", lambda: module)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"x")
    left, top, width, height = bounds
    for spec in (TileSize(64, 0.25), TileSize(32, 0.5)):
        scale = round(spec.mpp / 0.25)
        with SlideReader(path) as slide:
            assert slide.dimensions == (width, height)
            tiles = [tile for tile in slide.tiles(spec) if isinstance(tile, Tile)]
        for tile in tiles:
            x, y = int(tile.x) + left, int(tile.y) + top
            around = np.pad(P, ((999, 999), (999, 999), (0, 0)), constant_values=255)
            part = around[y + 999 : y + 999 + 64, x + 999 : x + 999 + 64]
            wanted = part.reshape(64 // scale, scale, 64 // scale, scale, 3).mean((1, 3))
            rows, columns = tile.valid or (spec.tile_px, spec.tile_px)
            assert np.abs(tile.pixels[:rows, :columns] - wanted[:rows, :columns]).max() <= 0.5
            assert (tile.pixels[rows:] == 255).all()
            assert (tile.pixels[:, columns:] == 255).all()
            assert y + rows * scale <= 512 + scale / 2 or rows == 1
            assert x + columns * scale <= 768 + scale / 2 or columns == 1


@needs("cases/make-pyramid-levels-rounded-down.py")
@pytest.mark.slow
def test_the_pyramid_that_drifted_by_12_pixels_does_not(tmp_path: Path) -> None:
    import subprocess

    made = SHARED / "cases" / "make-pyramid-levels-rounded-down.py"
    subprocess.run([sys.executable, str(made)], cwd=tmp_path, check=True)
    path = tmp_path / "pyramid-2010x20003.tif"
    full = tifffile.imread(path, key=0)
    tile = tiles_of(path, TileSize(200, 1.0))[-6]
    rows, columns = tile.valid or (200, 200)
    y, x = round(tile.y), round(tile.x)
    rows = min(rows, (20003 - y) // 4)
    wanted = full[y : y + rows * 4, x : x + columns * 4].reshape(rows, 4, -1, 4, 3).mean((1, 3))
    assert np.abs(tile.pixels[:rows, : wanted.shape[1]] - wanted).mean() < 2
