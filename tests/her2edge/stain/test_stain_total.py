"""Every uint8 RGB tile gets an answer and a status: no exception, no NaN, no invented tissue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shared_data import with_jit_only

from her2edge import MacenkoNormalizer, TissueFilter
from her2edge.errors import TileError
from her2edge.stain import StainFit, StainSource, StainStatus
from her2edge.stain.profiles import MACENKO, PROFILES

TARGET = StainFit(
    MACENKO.stain_matrix / np.linalg.norm(MACENKO.stain_matrix, axis=0), [1.0, 1.0], "tiatoolbox"
)
NORMALIZER = MacenkoNormalizer()
NORMALIZERS = (
    NORMALIZER,
    MacenkoNormalizer(exact=True),
    MacenkoNormalizer("tiatoolbox", TARGET),
    MacenkoNormalizer("tiatoolbox", TARGET, exact=True),
)


def check_total(pixels):
    """Filter and normaliser, in every profile and precision; the status of the default one."""
    assert 0 <= TissueFilter().background_share(pixels) <= 1
    height, width = pixels.shape[:2]
    for normalizer in NORMALIZERS:
        check_own_fit(pixels, normalizer.normalize(pixels))
        part = normalizer.normalize(pixels, valid=((height + 1) // 2, (width + 1) // 2))
        assert isinstance(part.status, StainStatus)
        given = normalizer.normalize(pixels, fit=normalizer.target or MACENKO)
        assert isinstance(given.status, StainStatus)
        assert (given.source, given.pixels.shape) == (StainSource.GIVEN, pixels.shape)
    return NORMALIZER.normalize(pixels).status


def check_own_fit(pixels, result):
    assert isinstance(result.status, StainStatus)
    assert result.pixels.shape == pixels.shape
    assert result.pixels.dtype == np.uint8
    if result.status is StainStatus.OK:
        assert np.isfinite(result.fit.stain_matrix).all()
        assert np.isfinite(result.fit.max_concentration).all()
        assert result.source is StainSource.TILE
    else:
        assert (result.fit, result.source) == (None, StainSource.NONE)
        np.testing.assert_array_equal(result.pixels, pixels)


@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)), elements=st.integers(0, 255)
    )
)
@settings(deadline=None, max_examples=150)
def test_any_small_array_gets_an_answer(pixels):
    check_total(pixels)


@with_jit_only
@given(
    seed=st.integers(0, 2**32 - 1),
    low=st.tuples(*[st.integers(0, 255)] * 3),
    spread=st.integers(0, 120),
    colours=st.integers(1, 4),
    glass=st.floats(0, 1),
)
@settings(deadline=None, max_examples=200)
def test_any_mixture_of_few_colours_noise_and_glass_gets_an_answer(seed, low, spread, colours, glass):
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colours, 3))
    palette[0] = low
    pixels = palette[rng.integers(0, colours, (40, 40))] + rng.integers(-spread, spread + 1, (40, 40, 3))
    pixels[rng.random((40, 40)) < glass] = 250
    check_total(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.slow
def test_five_thousand_random_tiles_get_an_answer():
    rng = np.random.default_rng(18)
    for _ in range(5000):
        size = int(rng.integers(1, 65))
        low, high = sorted(rng.integers(0, 256, 2))
        base = rng.integers(low, high + 1, (size, size, 3))
        if rng.random() < 0.5:
            base = base // 64 * 64
        if rng.random() < 0.5:
            base[rng.random((size, size)) < rng.random()] = rng.integers(0, 256, 3)
        check_total(base.astype(np.uint8))


def noise(low, high, size=256):
    return np.random.default_rng(1).integers(low, high, (size, size, 3), dtype=np.uint8)


def pen(colour, size=256):
    """Glass with a broad stroke of one ink, a little uneven."""
    pixels = np.full((size, size, 3), 245, np.int16)
    pixels[60:180] = colour
    return np.clip(pixels + np.random.default_rng(2).integers(-6, 7, pixels.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "status"),
    [
        (np.full((256, 256, 3), 255, np.uint8), StainStatus.BACKGROUND),
        (np.full((1, 1, 3), 255, np.uint8), StainStatus.BACKGROUND),
        (noise(235, 250), StainStatus.BACKGROUND),
        (np.zeros((256, 256, 3), np.uint8), StainStatus.RANK_DEFICIENT),
        (np.full((256, 256, 3), (150, 90, 160), np.uint8), StainStatus.RANK_DEFICIENT),
        (np.zeros((1, 1, 3), np.uint8), StainStatus.FEW_TISSUE),
    ],
    ids=["white", "one white pixel", "glass noise", "black", "one colour", "one black pixel"],
)
def test_tiles_without_two_stains_are_named_for_what_they_are(pixels, status):
    assert check_total(pixels) is status


@with_jit_only
@pytest.mark.parametrize("colour", [(30, 60, 200), (20, 150, 60), (40, 40, 40), (200, 30, 40)], ids=str)
def test_pen_strokes_are_never_taken_for_tissue_stains(colour):
    assert check_total(pen(colour)) is not StainStatus.OK


def test_colour_noise_is_not_taken_for_tissue_stains():
    assert check_total(noise(0, 256)) is not StainStatus.OK


def test_a_few_tissue_pixels_do_not_decide_a_tile():
    pixels = np.full((256, 256, 3), 245, np.uint8)
    pixels[:8, :256] = (120, 60, 130)
    pixels[8:10, :256] = (200, 100, 160)
    assert check_total(pixels) is StainStatus.FEW_TISSUE


def test_known_stains_are_found_again():
    rng = np.random.default_rng(4)
    matrix = MACENKO.stain_matrix / np.linalg.norm(MACENKO.stain_matrix, axis=0)
    amounts = rng.gamma(2.0, 0.3, (2, 200 * 200))
    amounts[:, ::5] *= [[1.0], [0.02]]  # some pixels of nearly one stain, as nuclei and stroma are
    amounts[:, 1::5] *= [[0.02], [1.0]]
    pixels = (240 * np.exp(-matrix @ amounts)).T.reshape(200, 200, 3).astype(np.uint8)
    fit = NORMALIZER.fit(pixels)
    for stain, limit in ((0, 3.0), (1, 6.0)):
        cosine = np.clip(fit.stain_matrix[:, stain] @ matrix[:, stain], -1, 1)
        assert np.degrees(np.arccos(cosine)) <= limit


def test_optical_density_is_the_profiles_formula():
    torchstain, tiatoolbox = PROFILES["torchstain"].density, PROFILES["tiatoolbox"].density
    np.testing.assert_allclose(torchstain, [-np.log((i + 1) / 240) for i in range(256)], rtol=1e-15)
    np.testing.assert_allclose(
        tiatoolbox, [max(-np.log(max(i, 1) / 255), 1e-6) for i in range(256)], rtol=1e-15
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((8, 8, 4), np.uint8), "RGBA"),
        (np.zeros((8, 8), np.uint8), "greyscale"),
        (np.zeros((8, 8, 3), np.float32), "uint8"),
        (np.zeros((3, 8, 8), np.uint8), "moveaxis"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
        ([[1, 2, 3]], "list"),
    ],
    ids=["rgba", "grey", "float", "channels first", "empty", "list"],
)
def test_what_is_not_an_rgb_tile_is_refused(wrong, said):
    with pytest.raises(TileError, match=said):
        NORMALIZER.normalize(wrong)
