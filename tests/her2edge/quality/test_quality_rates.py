"""Both rates count: clean tissue kept out, artefacts found, drawn otherwise than when limits were chosen."""

from __future__ import annotations

import sys

import artefacts
import numpy as np
import pytest
from quality_rates import (
    KEEP_OUT,
    clean_rates,
    found_rates,
    halves,
    measured,
    shared_tiles,
    synthetic_tiles,
    tables,
)
from shared_data import SHARED, needs, with_jit_only

from her2edge import MacenkoNormalizer, SlideReader, TissueFilter
from her2edge.quality import KEEPS_OUT, QualityLimits, measure_quality
from her2edge.slide import TileSize, read_image
from her2edge.stain import StainStatus

LIMITS = QualityLimits()
WANTED = {"blur": 0.9, "moved": 0.9, "light": 0.8, "green": 0.9, "blue": 0.9, "black": 0.9}
NOT_PROMISED = "sigma 1 ", "moved 5 ", "moved 12 px, JPEG"  # docs/quality.md gives the figures


def kept_out(pixels, valid):
    return not set(KEEPS_OUT).isdisjoint(measure_quality(pixels, valid, LIMITS).codes)


def check_found(found):
    for words, (_, share) in found.items():
        if not any(weak in words for weak in NOT_PROMISED):
            assert share >= WANTED[words.split()[0].strip(",")], words


@with_jit_only
def test_clean_synthetic_tissue_is_kept_and_what_is_drawn_on_it_found():
    sources = {site: tiles[:2] for site, tiles in synthetic_tiles(slides=1).items()}
    clean = clean_rates(measured(sources), LIMITS)
    found = found_rates(sources, LIMITS, artefacts.INKS_SCORED_ON, 50, 9000)
    sys.stdout.write(tables(clean, found) + "\n")
    assert max(shares[code.value] for shares in clean.values() for code in KEEP_OUT) <= 0.05
    check_found({words: rate for words, rate in found.items() if rate[0] >= 5})


@pytest.mark.slow
@needs("tiles", "pairs", "stain", "wsi")
def test_clean_real_tissue_is_kept_and_what_is_drawn_on_it_found():
    """Drawn with other inks and places than limits were chosen on; the clean tissue had been seen."""
    sources = shared_tiles()
    clean = clean_rates(measured(sources), LIMITS)
    _, second = halves(sources)
    second = {name: tiles[:3] for name, tiles in second.items()}  # benchmarks/quality.py draws on all
    for width in (50, 70):
        found = found_rates(second, LIMITS, artefacts.INKS_SCORED_ON, width, 9000 + width)
        sys.stdout.write(tables(clean, found) + "\n")
        check_found(found)
    assert max(shares[code.value] for shares in clean.values() for code in KEEP_OUT) <= 0.05


@needs("wsi")
def test_fibres_of_a_slide_enlarged_to_the_models_scale_are_not_called_blurred():
    with SlideReader(SHARED / "wsi" / "cmu-1-small-region.svs") as slide:
        tiles = [
            tile for tile in slide.tiles(TileSize(512, 0.25))
            if not TissueFilter().is_background(tile.pixels, tile.valid)
        ]  # fmt: skip
    codes = [measure_quality(tile.pixels, tile.valid or (512, 512), LIMITS).codes for tile in tiles]
    assert len(codes) > 30
    assert sum("blurred" in one for one in codes) <= 0.1 * len(codes)


@needs("tiles", "cases")
def test_noise_flat_black_and_inverted_tiles_are_never_pooled():
    rng = np.random.default_rng(8)
    tissue = np.ascontiguousarray(read_image(SHARED / "tiles" / "brecahad-10011.jpg")[:512, :512])
    sensor = read_image(SHARED / "cases" / "one-stain-plus-sensor-noise.png")
    made = {
        "colour noise": rng.integers(0, 256, tissue.shape, np.uint8),
        "grey noise": rng.integers(0, 180, (512, 512, 1), np.uint8).repeat(3, axis=2),
        "flat": np.full_like(tissue, (150, 80, 160)),
        "flat with noise": (np.array((150, 80, 160)) + rng.normal(0, 6, tissue.shape)).astype(np.uint8),
        "black": np.zeros_like(tissue),
        "inverted": 255 - tissue,
        "channels turned": np.ascontiguousarray(tissue[..., [1, 0, 2]]),
        "one stain with noise": sensor,
    }
    for name, pixels in made.items():
        assert "no_stain" in measure_quality(pixels, pixels.shape[:2], LIMITS).codes, name
    for sigma in (2, 3, 4, 6, 8, 12, 20, 40):
        pixels = artefacts.blurred(tissue, sigma)
        assert kept_out(pixels, pixels.shape[:2])


@needs("cases/one-stain-plus-sensor-noise.png")
def test_the_normaliser_does_not_believe_one_stain_with_sensor_noise():
    pixels = read_image(SHARED / "cases" / "one-stain-plus-sensor-noise.png")
    for exact in (False, True):
        assert MacenkoNormalizer(exact=exact).normalize(pixels).status is StainStatus.RANK_DEFICIENT


@needs("pairs")
def test_tiles_stained_for_her2_protein_are_background_or_flagged():
    rule = TissueFilter()
    for path in sorted((SHARED / "pairs").glob("*.ihc.png")):
        image = read_image(path)
        for y, x in ((0, 0), (0, 512), (512, 0), (512, 512)):
            pixels = np.ascontiguousarray(image[y : y + 512, x : x + 512])
            assert rule.is_background(pixels) or kept_out(pixels, (512, 512))


@needs("cases/black-padding-15-of-16-tiles.tif")
def test_no_tile_of_black_padding_is_pooled():
    with SlideReader(SHARED / "cases" / "black-padding-15-of-16-tiles.tif", mpp=0.25) as slide:
        tiles = list(slide.sample(256, 400))
    black = [tile for tile in tiles if (tile.pixels.max(axis=2) < 20).mean() > 0.5]
    assert black
    for tile in black:
        assert kept_out(tile.pixels, tile.valid or (256, 256))
