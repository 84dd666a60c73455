"""Each Numba kernel says what its NumPy twin says, in both precisions, with the JIT on and off."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2edge import _eigen_kernels, _kernels
from her2edge.model.records import Input, Packing
from her2edge.runtime.packing import InputWriter, input_shape
from her2edge.stain.measure import angle_of, density_of_greys
from her2edge.stain.profiles import PROFILES
from her2edge.stain.restain import light_terms

PROFILE = PROFILES["torchstain"]
PLANE = np.linalg.qr(np.array([[0.3, 0.5], [0.2, 0.9], [0.8, 0.1]]))[0]
PRECISIONS = [np.float32, np.float64]
# Not a multiple of the blocks and groups of the kernels, so that the last, smaller one counts too.
PIXELS = 3 * _kernels.BLOCK + 77


@pytest.fixture
def rgb():
    return np.random.default_rng(3).integers(0, 256, 3 * PIXELS, dtype=np.uint8)


@pytest.fixture
def mask():
    return np.random.default_rng(4).integers(0, 2, PIXELS, dtype=np.uint8)


def density_of(rgb, real):
    out, grey = np.empty((3, rgb.size // 3), real), np.empty((3, _kernels.BLOCK), np.uint8)
    _kernels.optical_density(rgb, PROFILE.density.astype(real), grey, *out)
    return out


SOME_VALUES = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan])
SOME_LIMITS = st.sampled_from([-np.inf, -1.0, 0.5, 2.0, 3.0])


def scratch_flags():
    flags = np.empty(_kernels.BLOCK, np.uint8)
    return flags, flags.view(np.int64)


def tolerance(real):
    return 1e-12 if real is np.float64 else 2e-6


@pytest.mark.parametrize("brightest", [0, 100, 205, 255])
def test_dark_pixels_have_no_bright_channel(rgb, brightest):
    out = np.empty(PIXELS, np.uint8)
    _kernels.dark_mask(rgb, np.uint8(brightest), out)
    np.testing.assert_array_equal(out, naive.dark_mask(rgb, brightest))


def test_the_colour_histogram_adds_up_over_calls(rgb):
    out = np.zeros((128, 128, 128), np.int64)
    _kernels.colour_histogram(rgb, out)
    _kernels.colour_histogram(rgb, out)
    np.testing.assert_array_equal(out, 2 * naive.colour_histogram(rgb))


@pytest.mark.parametrize("real", PRECISIONS)
def test_optical_density_is_the_tables(rgb, real):
    expected = naive.optical_density(rgb, PROFILE.density.astype(real))
    np.testing.assert_array_equal(density_of(rgb, real), expected)


@pytest.mark.parametrize("real", PRECISIONS)
def test_moments_are_those_of_the_tissue_pixels(rgb, mask, real):
    density, out = density_of(rgb, real), np.ones(9)
    _kernels.tissue_moments(*density, mask, out)
    np.testing.assert_allclose(out - 1, naive.tissue_moments(density, mask), rtol=tolerance(real))


@pytest.mark.parametrize("real", PRECISIONS)
def test_turns_are_those_of_the_tissue_pixels(rgb, mask, real):
    density, out = density_of(rgb, real), np.empty(PIXELS, real)
    _kernels.tissue_turns(*density, mask, PLANE.astype(real), out)
    expected = naive.tissue_turns(density.astype(float), mask, PLANE)
    np.testing.assert_allclose(out, expected, atol=50 * tolerance(real))


def test_turns_order_directions_as_their_angles_do_all_the_way_round():
    angles = np.linspace(-math.pi, math.pi, 721)[1:]
    density = np.stack([np.cos(angles), np.sin(angles), np.zeros(720)])
    out = np.empty(720)
    _kernels.tissue_turns(*density, np.ones(720, np.uint8), np.eye(3)[:, :2].copy(), out)
    assert (np.diff(out) > 0).all()
    np.testing.assert_allclose([angle_of(turn) for turn in out], angles, atol=1e-14)


@pytest.mark.parametrize("real", PRECISIONS)
def test_concentration_is_the_unmixed_optical_density(rgb, real):
    density, out = density_of(rgb, real), np.empty(PIXELS, real)
    unmix = np.linalg.pinv(PLANE)[0].astype(real)
    _kernels.concentration(*density, unmix, out)
    np.testing.assert_allclose(out, naive.concentration(density, unmix), atol=10 * tolerance(real))


@given(
    arrays(np.float64, st.tuples(st.just(2), st.integers(1, 100)), elements=SOME_VALUES),
    st.tuples(SOME_LIMITS, SOME_LIMITS),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
@settings(deadline=None, max_examples=100)
def test_what_reaches_its_limit_is_kept_in_its_order_and_nan_never(some, limits, before):
    values, (flags, words) = np.full((2, _kernels.BLOCK), np.nan), scratch_flags()
    values[:, : some.shape[1]] = some
    tops, kept = np.full((2, some.shape[1] + 3 + 1), 7.0), np.array(before)
    _kernels.keep_tops(values, np.array(limits), flags, words, tops, kept)
    for row, limit, first, top, end in zip(some, limits, before, tops, kept, strict=True):
        np.testing.assert_array_equal(top[:first], 7.0)
        np.testing.assert_array_equal(top[first:end], naive.keep_from(row, limit))


@pytest.mark.parametrize("real", PRECISIONS)
@pytest.mark.parametrize("limit", [-np.inf, 0.3])
def test_top_turns_and_concentrations_are_those_of_all_pixels(rgb, mask, real, limit):
    density, (flags, words) = density_of(rgb, real), scratch_flags()
    limits, values = np.full(2, limit, real), np.empty((2, _kernels.BLOCK), real)
    tops, kept = np.empty((2, PIXELS + 1), real), np.empty(2, np.int64)
    turns, amounts = np.empty(PIXELS, real), np.empty(PIXELS, real)
    _kernels.top_turns(density, mask, PLANE.astype(real), limits, values, flags, words, tops, kept)
    _kernels.tissue_turns(*density, mask, PLANE.astype(real), turns)
    for sign, top, size in zip((-1, 1), tops, kept, strict=True):
        np.testing.assert_array_equal(top[:size], naive.keep_from(sign * turns, limit))
    unmix = np.linalg.pinv(PLANE).astype(real)
    _kernels.top_concentrations(density, unmix, limits, values, flags, words, tops, kept)
    for stain, top, size in zip(unmix, tops, kept, strict=True):
        _kernels.concentration(*density, stain, amounts)
        np.testing.assert_array_equal(top[:size], naive.keep_from(amounts, limit))


def restain(density, mix, real):
    out = np.empty(3 * density.shape[1], np.uint8)
    _kernels.restain(*density, *terms(mix, real), out)
    return out.reshape(-1, 3)


def terms(mix, real):
    """mix, bounds, powers and light, as the kernel takes them."""
    light = np.empty((3, _kernels.BLOCK), np.uint8)
    return (-mix * math.log2(math.e) / 8).astype(real), *light_terms(PROFILE.white, np.dtype(real)), light


@pytest.mark.parametrize(("real", "rounding"), [(np.float32, 1e-6), (np.float64, 1e-8)])
@given(mix=arrays(np.float64, (3, 3), elements=st.floats(-3, 3)))
@settings(deadline=None, max_examples=50)
def test_restained_pixels_are_the_truncated_light_through_the_new_stains(real, rounding, mix):
    """Light on the edge between two levels may fall either way, as far as the precision's rounding goes."""
    rgb = np.random.default_rng(5).integers(0, 256, 3 * PIXELS, dtype=np.uint8)
    density = density_of(rgb, real)
    light = naive.restain(density.astype(float), mix, 240.0)
    slack = light * rounding * (1 + np.abs(mix) @ np.abs(density)).T
    found = restain(density, mix, real)
    assert (found >= np.floor(light - slack)).all()
    assert (found <= np.floor(light + slack)).all()


@pytest.mark.parametrize("real", PRECISIONS)
def test_a_huge_negative_density_is_white_and_a_huge_positive_one_black(real):
    density = np.ones((3, 5), real)
    for scale, grey in ((-1e6, 255), (1e6, 0)):
        assert (restain(density, np.full((3, 3), scale), real) == grey).all()


@pytest.mark.parametrize("brightest", [-1, 205])
@pytest.mark.parametrize("real", PRECISIONS)
@pytest.mark.parametrize("pixels", [1, PIXELS, _kernels.STRIP, _kernels.STRIP + 77])
def test_strip_by_strip_is_the_same_as_plane_by_plane(real, pixels, brightest):
    random = np.random.default_rng(6)
    rgb = random.integers(0, 256, 3 * pixels, dtype=np.uint8)
    mask = random.integers(0, 2, pixels, dtype=np.uint8)
    tissue = mask.copy() if brightest < 0 else naive.dark_mask(rgb, brightest).astype(np.uint8)
    mix, density = random.uniform(-1, 1, (3, 3)), density_of(rgb, real)
    looked, out, moments, again = np.empty_like(density), np.empty_like(rgb), np.empty(9), np.empty(9)
    od, grey = PROFILE.density.astype(real), np.empty((3, _kernels.BLOCK), np.uint8)
    strip = np.empty((3, _kernels.STRIP), real)
    count = _kernels.look(rgb, brightest, od, grey, mask, looked, moments)
    np.testing.assert_array_equal(looked, density)
    np.testing.assert_array_equal(mask, tissue)
    args = (rgb, brightest, od, grey, mask, strip, again, *terms(mix, real), out)
    assert _kernels.restain_whole(*args) == count == tissue.sum()
    np.testing.assert_array_equal(out.reshape(-1, 3), restain(density, mix, real))
    np.testing.assert_array_equal(again, moments)
    expected = naive.tissue_moments(density, tissue)
    np.testing.assert_allclose(moments, expected, rtol=10 * tolerance(real), atol=1e-6)


def test_the_logarithm_of_every_grey_value_is_the_tables():
    """In float32 the kernel computes what the table says, of any part of a block."""
    greys = np.random.default_rng(8).permutation(np.arange(3 * PIXELS) % 256).astype(np.uint8)
    out, grey = np.empty((3, PIXELS), np.float32), np.empty((3, _kernels.BLOCK), np.uint8)
    od = density_of_greys(PROFILE, np.dtype(np.float32))
    assert od.size == 1
    _kernels.optical_density(greys, od, grey, *out)
    np.testing.assert_allclose(out, naive.optical_density(greys, PROFILE.density), rtol=0, atol=1e-6)


@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (300, 70), (3, _kernels.BLOCK + 77)])
def test_a_crop_is_restained_as_the_flipped_pixels_would_be(height, width, flips):
    """`height` x `width` pixels out of the middle of a larger picture; more rows and columns than a block."""
    random = np.random.default_rng(7)
    picture = random.integers(0, 256, (height + 5, width + 9, 3), dtype=np.uint8)
    mix, out = random.uniform(-1, 1, (3, 3)), np.empty((height, width, 3), np.uint8)
    _kernels.restain_crop(
        picture.reshape(-1),
        2 * (width + 9) + 4,
        width + 9,
        *flips,
        PROFILE.density.astype(np.float32),
        np.empty((3, _kernels.BLOCK), np.uint8),
        np.empty(3 * width, np.uint8),
        np.empty((3, width), np.float32),
        *terms(mix, np.float32),
        out,
    )
    turned = picture[2 : 2 + height, 4 : 4 + width][:: flips[0], :: flips[1]]
    expected = restain(density_of(np.ascontiguousarray(turned).reshape(-1), np.float32), mix, np.float32)
    np.testing.assert_array_equal(out.reshape(-1, 3), expected)


@given(arrays(np.float64, (3, 3), elements=st.floats(-100, 100)))
@settings(deadline=None, max_examples=200)
def test_eigenvalues_and_vectors_are_those_of_lapack(half):
    a = half + half.T
    values, vectors = np.empty(3), np.empty((3, 3))
    _eigen_kernels.symmetric_eigen(a.copy(), values, vectors)
    np.testing.assert_allclose(values, naive.symmetric_eigen(a)[0], atol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(a @ vectors, vectors * values, atol=1e-10)


def test_principal_axes_are_those_of_the_covariance():
    density = np.random.default_rng(7).gamma(2, 0.3, (3, 500)) * [[1.0], [0.5], [2.0]]
    moments, values, vectors = np.zeros(9), np.empty(3), np.empty((3, 3))
    _kernels.tissue_moments(*density, np.ones(500, np.uint8), moments)
    _eigen_kernels.principal_axes(moments, 500, np.empty((3, 3)), values, vectors)
    expected_values, expected = naive.principal_axes(density.T)
    np.testing.assert_allclose(values, expected_values, rtol=1e-10)
    np.testing.assert_allclose(np.abs(expected.T @ vectors), np.eye(3), atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(half=st.integers(1, 20), border=st.integers(-128, 127), seed=st.integers(0, 1 << 30))
def test_a_tile_is_packed_for_the_stem_in_a_frame(half, border, seed):
    random = np.random.default_rng(seed)
    table = random.integers(-128, 128, (3, 256), dtype=np.int8)
    tile = random.integers(0, 256, (2 * half, 2 * half, 3), dtype=np.uint8)
    packing = Packing(layout="stem-7x7-2", table=table.tobytes(), border=border)
    said = Input(tile_px=2 * half, mpp=0.25, scale=1.0, zero_point=0, packing=packing)
    out = np.full(input_shape(said), 99, dtype=np.int8)
    InputWriter(said).write(tile, out)
    np.testing.assert_array_equal(out.reshape(half + 3, half, 2, 24), naive.pack_stem(tile, table, border))


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is that run")
def test_these_tests_pass_without_the_jit():
    """What the loops say in Python is what they say compiled: no wrap-around, no undefined conversion."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    here = Path(__file__)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(here)],
        env=environment, cwd=here.parents[3], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:]
    assert "passed" in run.stdout
