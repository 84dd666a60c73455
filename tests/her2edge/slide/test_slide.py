"""Slides, plain images and folders become tiles."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from naive_resample import naive_area
from PIL import Image
from shared_data import SHARED, needs

from her2edge.slide import SlideReader
from her2edge.slide.grid import TileSize
from her2edge.slide.sources import OpenSlideSource
from her2edge.tile import Pixels, Tile, UnreadableTile

CMU = SHARED / "wsi" / "cmu-1-small-region.svs"
TCGA = SHARED / "wsi" / "tcga-cr-7395-01a-01-ts1.svs"
SMALL = TileSize(64, 0.25)


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), np.uint8)


def tile_list(slide: SlideReader, spec: TileSize) -> list[Tile]:
    tiles = list(slide.tiles(spec))
    assert all(isinstance(tile, Tile) for tile in tiles)
    return [tile for tile in tiles if isinstance(tile, Tile)]


def write_pyramid(path: Path, levels: list[Pixels], mpp: float) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for number, pixels in enumerate(levels):
            density = 1e4 / (mpp * levels[0].shape[1] / pixels.shape[1])
            writer.write(
                pixels, tile=(128, 128), photometric="rgb", subfiletype=int(number > 0),
                resolution=(density, density), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


class FakeSlide:
    """An OpenSlide handle over an array; `fails(n)` tells whether the n-th read of all handles fails, and
    after that the handle fails for ever, as OpenSlide's do."""

    pixels = noise(300, 400, 4)
    extra: dict[str, str] = {}  # noqa: RUF012 - the fixture replaces it
    opened = 0
    reads = 0
    caches: list[int] = []  # noqa: RUF012 - each slide's own, as above
    fails: Callable[[int], bool] = staticmethod(lambda n: False)

    def __init__(self, path: Path) -> None:
        type(self).opened += 1
        self._broken = False
        height, width = self.pixels.shape[:2]
        self.level_dimensions = ((width, height),)
        self.level_downsamples = (1.0,)
        self.properties = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25", **self.extra}

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        type(self).reads += 1
        self._broken = self._broken or type(self).fails(type(self).reads)
        if self._broken:
            raise FakeError(f"Reading /secret/place: bad\nblock at {location}")
        (x, y), (width, height) = location, size
        region = self.pixels[y : y + height, x : x + width]
        assert region.shape[:2] == (height, width), "read outside of the slide"
        return region

    def set_cache(self, cache: int) -> None:
        type(self).caches.append(cache)

    def close(self) -> None:
        pass


class FakeError(Exception):
    pass


@pytest.fixture
def fake(tmp_path: Path) -> tuple[Callable[[], SlideReader], Any]:
    """(a call that opens an empty slide, the class that answers for it in OpenSlide's place)."""
    kind = type("Fake", (FakeSlide,), {"caches": []})
    module = SimpleNamespace(
        OpenSlide=kind,
        OpenSlideCache=int,
        OpenSlideError=FakeError,
        OpenSlideUnsupportedFormatError=type("_", (FakeError,), {}),
    )
    path = tmp_path / "fake.svs"
    path.write_bytes(b"x")
    return lambda: SlideReader(path, source=OpenSlideSource(path, module)), kind


@needs("wsi/cmu-1-small-region.svs")
def test_a_slide_at_the_models_scale_passes_its_pixels_untouched() -> None:
    import openslide

    reference = openslide.OpenSlide(CMU)
    with SlideReader(CMU) as slide:
        assert (slide.name, slide.mpp, slide.dimensions) == (CMU.name, 0.499, (2220, 2967))
        for tile in tile_list(slide, TileSize(512, 0.499)):
            assert tile.valid is not None
            rows, columns = tile.valid
            stored = np.asarray(reference.read_region((int(tile.x), int(tile.y)), 0, (columns, rows)))
            np.testing.assert_array_equal(tile.pixels[:rows, :columns], stored[..., :3])


@needs("wsi/cmu-1-small-region.svs")
def test_a_20x_slide_is_enlarged_for_a_40x_model_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    spec = TileSize(512, 0.25)
    with SlideReader(CMU) as slide, caplog.at_level(logging.WARNING, "her2edge"):
        grid = slide.grid(spec)
        tiles = slide.tiles(spec)
        first, second = next(tiles), next(tiles)
        whole = next(iter(slide.tiles(TileSize(512, 0.499))))
        again = next(slide.tiles(spec, numbers=[0]))
    assert isinstance(again, Tile)
    assert grid.upsampled
    assert (grid.columns, grid.rows) == (9, 12)
    assert [r.message.count("0.499 um per pixel") for r in caplog.records] == [1]
    assert isinstance(first, Tile)
    assert isinstance(second, Tile)
    assert isinstance(whole, Tile)
    assert second.x == grid.step == 512 * 0.25 / 0.499
    assert second.span == (grid.step, grid.step)
    back = cv2.resize(first.pixels, (257, 257), interpolation=cv2.INTER_AREA)
    assert np.abs(back[:250, :250].astype(int) - whole.pixels[:250, :250]).mean() < 4


@needs("wsi/tcga-cr-7395-01a-01-ts1.svs")
def test_a_slide_without_a_scale_works_once_mpp_is_given() -> None:
    with SlideReader(TCGA, mpp=0.25) as slide:
        tiles = slide.tiles(TileSize(512, 0.5))
        tile = next(tiles)
        assert isinstance(tile, Tile)
        assert slide.tile_count(TileSize(512, 0.5)) == 20
        reference = next(slide.tiles(TileSize(1024, 0.25)))
        assert isinstance(reference, Tile)
    half = cv2.resize(reference.pixels, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - tile.pixels).mean() < 4, "level 1 was read at another place"


def test_a_tiled_tiff_tells_its_scale_by_its_resolution_tags(tmp_path: Path) -> None:
    pixels = noise(200, 300)
    with SlideReader(write_pyramid(tmp_path / "a.tiff", [pixels], 0.25)) as slide:
        assert slide.mpp == pytest.approx(0.25, rel=1e-6)
        tiles = tile_list(slide, TileSize(100, slide.mpp or 0))
    np.testing.assert_array_equal(np.hstack([t.pixels for t in tiles[:3]]), pixels[:100])


def test_the_nearest_finer_pyramid_level_is_read(tmp_path: Path) -> None:
    grey = [np.full((512 // d, 768 // d, 3), value, np.uint8) for d, value in ((1, 10), (2, 20), (4, 40))]
    seen = {}
    with SlideReader(write_pyramid(tmp_path / "p.tif", grey, 0.25)) as slide:
        for mpp in (0.25, 0.4, 0.5, 0.9, 1.0, 2.0):
            seen[mpp] = {int(v) for t in tile_list(slide, TileSize(32, mpp)) for v in np.unique(t.pixels)} - {
                255
            }
    assert seen == {0.25: {10}, 0.4: {10}, 0.5: {20}, 0.9: {20}, 1.0: {40}, 2.0: {40}}


def test_a_finer_slide_is_averaged_from_its_sub_pixel_origin(tmp_path: Path) -> None:
    pixels = noise(150, 170)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    with SlideReader(tmp_path / "a.png", mpp=0.2) as slide:
        grid = slide.grid(TileSize(32, 0.25))
        tiles = tile_list(slide, TileSize(32, 0.25))
    assert not grid.upsampled
    for tile in tiles:
        assert tile.valid is not None
        rows, columns = tile.valid
        expected = naive_area(pixels, tile.x, tile.y, 1.25, rows, columns)
        assert np.abs(tile.pixels[:rows, :columns].astype(int) - expected).max() <= 1


def test_enlarged_tiles_join_without_a_seam(tmp_path: Path) -> None:
    ramp = np.repeat(np.tile(np.arange(240, dtype=np.uint8), (100, 1))[..., None], 3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "r.png")
    with SlideReader(tmp_path / "r.png", mpp=0.499) as slide:
        row = [t.pixels for t in tile_list(slide, SMALL) if t.y == 0]
    line = np.hstack(row)[30, :470, 0]
    expected = (np.arange(470) + 0.5) * (0.25 / 0.499) - 0.5
    assert np.abs(line - expected)[2:].max() <= 1


@pytest.mark.parametrize("name", ["plain.png", "plain.bmp", "plain.tif", "Präparat 组织 №1.png"])
def test_a_plain_image_gives_the_pixels_of_its_array(tmp_path: Path, name: str) -> None:
    pixels = noise(64, 128)
    Image.fromarray(pixels).save(tmp_path / name)
    with SlideReader(tmp_path / name, mpp=0.25) as slide:
        tiles = tile_list(slide, SMALL)
        assert slide.name == tiles[0].slide == name
        assert slide.dimensions == (128, 64)
    np.testing.assert_array_equal(np.hstack([t.pixels for t in tiles]), pixels)


@needs("wsi/cmu-1-small-region.svs")
def test_a_slide_with_a_non_ascii_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Größe 病理.svs"
    path.write_bytes(CMU.read_bytes())
    with SlideReader(path) as slide:
        assert isinstance(next(slide.tiles(TileSize(512, 0.5))), Tile)


def test_edge_tiles_are_padded_with_white_and_say_what_is_valid(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((70, 100, 3), np.uint8)).save(tmp_path / "black.png")
    with SlideReader(tmp_path / "black.png", mpp=0.25) as slide:
        tiles = tile_list(slide, SMALL)
    assert [t.valid for t in tiles] == [(64, 64), (64, 36), (6, 64), (6, 36)]
    for tile in tiles:
        assert tile.valid is not None
        assert tile.pixels.shape == (64, 64, 3)
        assert tile.pixels.flags.c_contiguous
        assert tile.span == (64, 64)
        assert not tile.pixels[: tile.valid[0], : tile.valid[1]].any()
        assert (tile.pixels[tile.valid[0] :] == 255).all()
        assert (tile.pixels[:, tile.valid[1] :] == 255).all()


def test_transparent_pixels_are_composited_over_white(tmp_path: Path) -> None:
    rgba = noise(64, 64, 4)
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with SlideReader(tmp_path / "a.png", mpp=0.25) as slide:
        (tile,) = tile_list(slide, SMALL)
    alpha = rgba[..., 3:] / 255
    np.testing.assert_array_equal(tile.pixels, np.floor(rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5))


def test_the_exif_orientation_of_a_jpeg_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(64, 128)).save(tmp_path / "a.jpg", exif=exif)
    with SlideReader(tmp_path / "a.jpg", mpp=0.25) as slide:
        assert slide.dimensions == (128, 64)


def test_the_stated_bounds_of_the_scan_are_the_frame(fake: Any) -> None:
    open_slide, kind = fake
    kind.pixels = noise(300, 400, 4)
    kind.pixels[..., 3] = 255
    kind.extra = {
        "openslide.bounds-x": "11",
        "openslide.bounds-y": "23",
        "openslide.bounds-width": "130",
        "openslide.bounds-height": "64",
    }
    with open_slide() as slide:
        assert slide.dimensions == (130, 64)
        tiles = tile_list(slide, SMALL)
    assert [(t.x, t.y) for t in tiles] == [(0, 0), (64, 0), (128, 0)]
    np.testing.assert_array_equal(tiles[1].pixels, kind.pixels[23:87, 75:139, :3])
    assert tiles[2].valid == (64, 2)


def test_one_unreadable_region_costs_one_tile_and_one_reopened_handle(fake: Any) -> None:
    open_slide, kind = fake
    with open_slide() as slide:
        good = list(slide.tiles(SMALL))
    kind.reads = kind.opened = 0
    kind.fails = staticmethod(lambda n: n == 3)
    with open_slide() as slide:
        tiles = list(slide.tiles(SMALL))
    assert kind.opened == 2
    assert [i for i, t in enumerate(tiles) if isinstance(t, UnreadableTile)] == [2]
    lost = tiles[2]
    assert isinstance(lost, UnreadableTile)
    assert (lost.x, lost.y, lost.span, lost.slide) == (128, 0, (64, 64), "fake.svs")
    assert "\n" not in lost.error
    assert "(128, 0)" in lost.error
    for before, after in zip(good, tiles, strict=True):
        if isinstance(after, Tile):
            assert isinstance(before, Tile)
            np.testing.assert_array_equal(before.pixels, after.pixels)


def test_tiles_are_decoded_only_when_asked_for(fake: Any) -> None:
    open_slide, kind = fake
    with open_slide() as slide:
        tiles = slide.tiles(SMALL)
        assert kind.reads == 0
        next(tiles)
        assert kind.reads == 1


def test_a_thumbnail_is_the_whole_slide_and_never_enlarged(fake: Any) -> None:
    open_slide, kind = fake
    kind.pixels = np.full((300, 400, 4), 255, np.uint8)
    kind.pixels[:150, :200, :3] = 0
    with open_slide() as slide:
        small = slide.thumbnail(40)
        large = slide.thumbnail()
    assert small is not None
    assert large is not None
    assert small.shape == (30, 40, 3)
    assert not small[:15, :20].any()
    assert (small[15:] == 255).all()
    np.testing.assert_array_equal(large, kind.pixels[..., :3])


def test_a_thumbnail_with_a_lost_part_stays_white_there_and_warns(
    fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    open_slide, kind = fake
    kind.fails = staticmethod(lambda n: True)
    with open_slide() as slide, caplog.at_level(logging.WARNING, "her2edge"):
        thumbnail = slide.thumbnail(40)
    assert thumbnail is not None
    assert (thumbnail == 255).all()
    assert len(caplog.records) == 1


def test_a_folder_yields_each_image_once_by_sorted_relative_path(tmp_path: Path) -> None:
    (tmp_path / "tiles" / "b" / ".hidden").mkdir(parents=True)
    root = tmp_path / "tiles"
    pixels = noise(20, 30)
    for name in ("b/2.png", "a.PNG", "b/1.tif", ".secret.png", "b/.hidden/3.png"):
        Image.fromarray(pixels).save(root / name)
    (root / "notes.txt").write_text("no image")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff but no more")
    Image.fromarray(pixels).save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "within.png").symlink_to(root / "a.PNG")
    with SlideReader(root) as slide:
        assert slide.is_folder
        assert slide.name == "tiles"
        assert (slide.dimensions, slide.mpp, slide.thumbnail()) == (None, None, None)
        tiles = list(slide.tiles(SMALL))
        assert slide.tile_count(SMALL) == len(tiles)
    assert [t.slide for t in tiles] == ["a.PNG", "b/1.tif", "b/2.png", "broken.jpg", "within.png"]
    assert [type(t).__name__ for t in tiles] == ["Tile", "Tile", "Tile", "UnreadableTile", "Tile"]
    assert isinstance(tiles[0], Tile)
    np.testing.assert_array_equal(tiles[0].pixels, pixels)
    assert (tiles[0].x, tiles[0].y, tiles[0].span, tiles[0].mpp) == (0, 0, (30, 20), None)
    with SlideReader(root, mpp=0.25) as slide:
        assert next(slide.tiles(SMALL)).mpp == 0.25


def test_a_fingerprint_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    pixels = noise(64, 64)
    prints = []
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(pixels if name != "c.png" else 255 - pixels).save(tmp_path / name)
        with SlideReader(tmp_path / name, mpp=0.25) as slide:
            prints.append(slide.fingerprint)
    assert prints[0] == prints[1] != prints[2]
    with SlideReader(tmp_path) as slide:
        before = slide.fingerprint
    (tmp_path / "c.png").rename(tmp_path / "d.png")
    with SlideReader(tmp_path) as slide:
        assert slide.fingerprint != before
    assert len(before) == 64


def test_a_fingerprint_of_a_large_file_sees_its_ends_and_its_size(tmp_path: Path) -> None:
    from her2edge.slide.fingerprint import fingerprint_file

    path = tmp_path / "large"
    content = bytearray(5_000_000)
    seen = set()
    for place in (None, 0, len(content) - 1):
        if place is not None:
            content[place] ^= 1
        path.write_bytes(content)
        seen.add(fingerprint_file(path))
    path.write_bytes(content[:-1])
    seen.add(fingerprint_file(path))
    assert len(seen) == 4


def test_an_mrxs_slide_is_identified_with_the_files_beside_it(tmp_path: Path) -> None:
    from her2edge.slide.fingerprint import fingerprint_slide

    (tmp_path / "case").mkdir()
    (tmp_path / "case.mrxs").write_bytes(b"head")
    (tmp_path / "case" / "Data0000.dat").write_bytes(b"1")
    before = fingerprint_slide(tmp_path / "case.mrxs")
    (tmp_path / "case" / "Data0000.dat").write_bytes(b"2")
    assert fingerprint_slide(tmp_path / "case.mrxs") != before


def test_a_slide_is_not_closed_under_a_read_that_is_under_way(fake: Any) -> None:
    """A stream reads ahead in a thread of its own; OpenSlide would read freed memory."""
    open_slide, kind = fake
    reading, go_on, order = threading.Event(), threading.Event(), []

    def read_region(self: FakeSlide, location: Any, level: int, size: Any) -> Pixels:
        reading.set()
        go_on.wait(20)
        pixels = FakeSlide.read_region(self, location, level, size)
        order.append("read")
        return pixels

    kind.read_region, kind.close = read_region, lambda self: order.append("closed")
    slide = open_slide()
    reader = threading.Thread(target=next, args=(slide.tiles(TileSize(100, 0.25)),))
    reader.start()
    assert reading.wait(20)
    closer = threading.Thread(target=slide.close)
    closer.start()
    closer.join(0.1)  # time enough to close, were it allowed
    go_on.set()
    reader.join()
    closer.join()
    assert order == ["read", "closed"]


def test_no_handle_of_a_slide_caches_more_than_a_tiles_neighbours(fake: Any) -> None:
    """OpenSlide's own cache holds 32 MiB; a handle opened after an error has the small one too."""
    open_slide, kind = fake
    kind.fails = staticmethod(lambda n: n == 1)
    with open_slide() as slide:
        kinds = [type(tile) for tile in slide.tiles(TileSize(200, 0.25))]
    assert kinds.count(UnreadableTile) == 1
    assert kind.caches == [16 << 20] * 2
