"""Glass that is not decoded: never a place that would be classified, and every place accounted for."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pyramids
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import SHARED, needs

from her2edge import SlideReader, Tile
from her2edge.errors import SlideReadError
from her2edge.slide import GlassMap, TileSize, UnreadableTile
from her2edge.slide.sources import OpenSlideSource
from her2edge.tile import GlassPlace
from her2edge.tissue import TissueFilter
from her2edge_training import synthetic

RULE = TissueFilter()
SPEC = TileSize(256, 0.25)


def found(path: Path, spec: TileSize = SPEC, readers: int = 1, **more: bool) -> GlassMap | None:
    with SlideReader(path, **more) as slide:
        return slide.glass(spec, RULE.brightest_tissue, readers)


def wrongly_glass(path: Path, spec: TileSize = SPEC, mpp: float | None = None) -> tuple[int, int, int]:
    """(places that are not decoded, of those the ones that the rule would classify, background in all)."""
    skipped = wrong = background = 0
    with SlideReader(path, default_mpp=mpp) as slide:
        glass = slide.glass(spec, RULE.brightest_tissue)
        assert glass is not None
        for place, tile in zip(slide.grid(spec), slide.tiles(spec), strict=True):
            assert isinstance(tile, Tile)
            bright = RULE.is_background(tile.pixels, tile.valid)
            background += bright
            skipped += place in glass
            wrong += place in glass and not bright
    return skipped, wrong, background


@given(
    dark=st.integers(0, 179), share=st.floats(0.401, 1), bright=st.integers(180, 255), seed=st.integers(0, 99)
)
@settings(max_examples=80, deadline=None)
def test_no_tile_of_tissue_is_brighter_on_average_than_the_rule_allows(dark, share, bright, seed) -> None:
    count = math.floor(0.6 * 4096) if share < 0.4 else 4096 - math.ceil(share * 4096)
    grey = np.full(4096, dark, np.uint8)
    grey[:count] = bright
    np.random.default_rng(seed).shuffle(grey)
    tile = grey.reshape(64, 64, 1).repeat(3, axis=2)
    assert not RULE.is_background(tile)
    assert grey.mean() <= RULE.brightest_tissue


def test_the_brightest_tissue_of_the_papers_rule_is_what_arithmetic_says() -> None:
    assert RULE.brightest_tissue == pytest.approx(0.4 * 179 + 0.6 * 255)
    assert TissueFilter(180, 250).brightest_tissue == math.inf  # white is no background there


FLECKED = [
    (side, share, smaller)
    for side, share in ((32, 0.41), (8, 0.5))
    for smaller in (pyramids.area, pyramids.nearest)
]


@pytest.mark.parametrize(("side", "share", "smaller"), FLECKED)
@pytest.mark.parametrize("downs", [(4, 16), (4, 16, 32)])
def test_a_tile_of_single_flecks_on_an_otherwise_white_slide_is_classified(
    tmp_path: Path, side: int, share: float, smaller: pyramids.Smaller, downs: tuple[int, ...]
) -> None:
    pixels = pyramids.glass(2048, 2560)
    for column, row in ((1, 1), (4, 3)):
        y, x = 512 * row, 512 * column
        flecked = pyramids.flecks(pixels[y : y + 512, x : x + 512], share, side, grey=179, seed=row)
        pixels[y : y + 512, x : x + 512] = flecked
    path = pyramids.write_pyramid(tmp_path / "slide.tif", pixels, downs, smaller)
    spec = TileSize(512, 0.25)
    glass = found(path, spec)
    assert glass is not None
    assert (1, 1) not in glass
    assert (4, 3) not in glass
    skipped, wrong, background = wrongly_glass(path, spec)
    assert (wrong, background) == (0, 18)
    if smaller is pyramids.area:
        assert skipped >= 18 - 11  # glass but for the flecks' neighbours


def thin_and_pale(seed: int) -> pyramids.Pixels:
    """Strands of some pixels, pale sheets, dust and flecks on glass, more and less than the rule wants."""
    rng = np.random.default_rng(seed)
    pixels = pyramids.glass(2560, 2560, seed)
    for n in range(30):
        row, column = (int(v) for v in rng.integers(0, 10, 2))
        part = pixels[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
        grey = int(rng.integers(60, 235))
        kind = n % 4
        if kind == 0:
            part[:] = pyramids.flecks(part, float(rng.uniform(0.02, 0.7)), int(rng.choice([4, 8, 32])), grey)
        elif kind == 1:
            pitch = int(rng.integers(5, 60))
            for start in range(0, 256, pitch):
                part[:, start : start + max(1, int(pitch * rng.uniform(0.1, 0.6)))] = grey
        elif kind == 2:
            part[:] = (min(255, grey + 15), grey, min(255, grey + 8))
        else:
            part[: int(rng.integers(1, 256)), : int(rng.integers(1, 256))] = grey
    return pixels


@pytest.mark.parametrize("smaller", [pyramids.area, pyramids.nearest])
@pytest.mark.parametrize("downs", [(4,), (16,), (7,)])
@pytest.mark.parametrize("seed", range(4))
def test_thin_and_pale_tissue_is_never_taken_for_glass(
    tmp_path: Path, seed: int, downs: tuple[int, ...], smaller: pyramids.Smaller
) -> None:
    path = pyramids.write_pyramid(tmp_path / "slide.tif", thin_and_pale(seed), downs, smaller)
    skipped, wrong, _ = wrongly_glass(path)
    assert wrong == 0
    if smaller is pyramids.area:
        assert skipped >= 10


@pytest.mark.parametrize(("scale", "down"), [(1.0, 4), (1.013, 4), (2.0, 8), (0.5, 4)])
def test_tissue_and_glass_of_another_scale_too(tmp_path: Path, scale: float, down: int) -> None:
    pixels = pyramids.glass(2000, 3100)
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels[700:1500, 900:1900] = synthetic.make_slide_image(model, 1000, 800, 0.25).pixels
    path = pyramids.write_pyramid(tmp_path / "slide.tif", pixels, (down,), mpp=0.25 / scale)
    skipped, wrong, background = wrongly_glass(path)
    assert wrong == 0
    assert background // 4 <= skipped < background


REAL = ("wsi/tcga-cr-7395-01a-01-ts1.svs", "wsi/cmu-1-small-region.svs")


@needs(*REAL)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("smaller", [pyramids.area, pyramids.nearest])
def test_real_slides_on_more_glass_lose_no_tissue(
    tmp_path: Path, name: str, smaller: pyramids.Smaller
) -> None:
    """Their own levels are too coarse or missing: their pixels on glass, with levels made of them."""
    with SlideReader(SHARED / name, default_mpp=0.25) as slide:
        assert slide.mpp is not None
        whole = next(slide.tiles(TileSize(2048, slide.mpp)))
    assert isinstance(whole, Tile)
    pixels = pyramids.glass(3072, 3072)
    pixels[512:2560, 512:2560] = whole.pixels
    path = pyramids.write_pyramid(tmp_path / "slide.tif", pixels, (8,), smaller)
    skipped, wrong, _ = wrongly_glass(path)
    assert wrong == 0
    assert skipped >= 40


def tissue_in_glass(height: int = 2048, width: int = 3072) -> pyramids.Pixels:
    pixels = pyramids.glass(height, width)
    model = synthetic.make_slide_model("2+", synthetic.SITES[0], 3)
    pixels[512:1280, 768:2048] = synthetic.make_slide_image(model, 1280, 768, 0.25).pixels
    return pixels


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pyramids.write_pyramid(tmp_path_factory.mktemp("glass") / "slide.tif", tissue_in_glass())


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("readers", [1, 3])
def test_the_map_is_the_same_however_the_slide_is_read(slide_path: Path, readers: int, isolate: bool) -> None:
    once, other = found(slide_path), found(slide_path, readers=readers, isolate=isolate)
    assert once is not None
    assert other is not None
    assert 20 < len(once) < 96
    np.testing.assert_array_equal(once.places, other.places)


def test_glass_is_a_place_without_pixels_that_nobody_reads(
    slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlideReader(slide_path) as slide:
        glass = slide.glass(SPEC, RULE.brightest_tissue)
        assert glass is not None
        every = list(slide.tiles(SPEC))
        read = []
        real = OpenSlideSource.read
        monkeypatch.setattr(
            OpenSlideSource, "read", lambda self, *region: read.append(region) or real(self, *region)
        )
        tiles = list(slide.tiles(SPEC, glass=glass))
        assert len(tiles) == len(every) == 96
        assert len(read) == 96 - len(glass)
        for place, one, decoded in zip(slide.grid(SPEC), tiles, every, strict=True):
            assert (one.x, one.y, one.span, one.mpp, one.slide) == (
                decoded.x, decoded.y, decoded.span, decoded.mpp, decoded.slide,
            )  # fmt: skip
            assert isinstance(one, GlassPlace) == (place in glass)
            if isinstance(one, Tile):
                np.testing.assert_array_equal(one.pixels, decoded.pixels)


def blank(pixels: pyramids.Pixels, down: int) -> pyramids.Pixels:
    return pyramids.glass(pixels.shape[0] // down, pixels.shape[1] // down)


def shifted(pixels: pyramids.Pixels, down: int) -> pyramids.Pixels:
    return pyramids.area(np.roll(pixels, (512, 400), (0, 1)), down)


def mirrored(pixels: pyramids.Pixels, down: int) -> pyramids.Pixels:
    return pyramids.area(np.ascontiguousarray(pixels[::-1, ::-1]), down)


@pytest.mark.parametrize("lies", [blank, shifted, mirrored])
def test_a_level_that_shows_something_else_is_said_once_and_everything_is_decoded(
    tmp_path: Path, lies: pyramids.Smaller, caplog: pytest.LogCaptureFixture
) -> None:
    path = pyramids.write_pyramid(tmp_path / "slide.tif", tissue_in_glass(), smaller=lies)
    with caplog.at_level(logging.WARNING, "her2edge"):
        glass = found(path)
    assert glass is not None
    assert len(glass) == 0
    assert [record.message for record in caplog.records if "every place is decoded" in record.message]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("downs", [(), (2,), (32,), (64,)])
def test_where_no_level_is_fit_there_is_no_map(tmp_path: Path, downs: tuple[int, ...]) -> None:
    """Twice smaller saves nothing; 16 pixels of 256 are as coarse as it may be."""
    path = pyramids.write_pyramid(tmp_path / "slide.tif", tissue_in_glass(), downs)
    with SlideReader(path) as slide:
        assert not slide.shows_glass(SPEC)
    assert found(path) is None


def test_a_level_of_other_proportions_is_no_level_to_look_in(tmp_path: Path) -> None:
    def squeezed(pixels: pyramids.Pixels, down: int) -> pyramids.Pixels:
        return np.ascontiguousarray(pyramids.area(pixels, down)[: pixels.shape[0] // down // 2])

    path = pyramids.write_pyramid(tmp_path / "slide.tif", tissue_in_glass(), (16,), squeezed)
    assert found(path) is None


def test_a_rule_that_white_is_tissue_of_or_that_wants_nearly_all_dark_leaves_nothing_out(
    slide_path: Path,
) -> None:
    with SlideReader(slide_path) as slide:
        assert slide.glass(SPEC, TissueFilter(180, 250).brightest_tissue) is None
        strict = slide.glass(SPEC, TissueFilter(180, 255, 0.95).brightest_tissue)
        assert strict is not None
        assert len(strict) == 0


def test_places_at_the_border_of_the_slide_are_decoded(tmp_path: Path) -> None:
    """A strip of a pixel of tissue there is not in the level at all."""
    pixels = pyramids.glass(2048 + 1, 3072 + 5)
    pixels[:, 3072:] = 90
    glass = found(pyramids.write_pyramid(tmp_path / "slide.tif", pixels))
    assert glass is not None
    assert glass.places.shape == (9, 13)
    assert not glass.places[8].any()
    assert not glass.places[:, 12].any()
    assert glass.places[:8, :10].all()


def test_a_part_of_the_level_that_cannot_be_read_is_decoded(
    slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = found(slide_path)
    real = OpenSlideSource.read

    def read(self: OpenSlideSource, level: int, *region: int) -> pyramids.Pixels:
        if level > 0:
            raise SlideReadError("slide.tif: region cannot be read")
        return real(self, level, *region)

    monkeypatch.setattr(OpenSlideSource, "read", read)
    lost = found(slide_path)
    assert whole is not None
    assert lost is not None
    assert len(whole) > len(lost) == 0


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_map_comes_back_from_its_bytes(rows: int, columns: int, seed: int) -> None:
    places = np.random.default_rng(seed).random((rows, columns)) < 0.5
    again = GlassMap.from_bytes(GlassMap(places).to_bytes(), rows, columns)
    np.testing.assert_array_equal(again.places, places)
    with pytest.raises(ValueError, match="bytes"):
        GlassMap.from_bytes(GlassMap(places).to_bytes() + b"0", rows, columns)


def test_iterating_without_a_map_reads_every_place(slide_path: Path) -> None:
    with SlideReader(slide_path) as slide:
        assert not any(isinstance(tile, UnreadableTile) for tile in slide.tiles(SPEC))
