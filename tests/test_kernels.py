"""Each Numba kernel says what its NumPy twin says."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2edge import _kernels
from her2edge.stain import BETA, OPTICAL_DENSITY, WHITE

PLANE = np.linalg.qr(np.array([[0.3, 0.5], [0.2, 0.9], [0.8, 0.1]]))[0]


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (5000, 3), dtype=np.uint8)


def test_moments_are_those_of_the_tissue_pixels(pixels):
    out = np.empty(10)
    _kernels.tissue_moments(pixels, OPTICAL_DENSITY, BETA, out)
    np.testing.assert_allclose(out, naive.tissue_moments(pixels, OPTICAL_DENSITY, BETA), rtol=1e-12)


def test_angles_are_those_of_the_tissue_pixels_in_their_order(pixels):
    expected = naive.tissue_angles(pixels, OPTICAL_DENSITY, BETA, PLANE)
    out = np.empty(len(expected))
    _kernels.tissue_angles(pixels, OPTICAL_DENSITY, BETA, PLANE, out)
    np.testing.assert_allclose(out, expected, atol=1e-14)


def test_concentrations_are_the_unmixed_optical_density(pixels):
    unmix = np.linalg.pinv(PLANE)
    out = np.empty((2, len(pixels)))
    _kernels.concentrations(pixels, OPTICAL_DENSITY, unmix, out)
    np.testing.assert_allclose(out, naive.concentrations(pixels, OPTICAL_DENSITY, unmix), atol=1e-13)


@given(arrays(np.float64, (3, 3), elements=st.floats(-3, 3)))
@settings(deadline=None, max_examples=50)
def test_restained_pixels_are_the_truncated_light_through_the_new_stains(mix):
    pixels = np.random.default_rng(5).integers(0, 256, (500, 3), dtype=np.uint8)
    out = np.empty_like(pixels)
    _kernels.restain(pixels, OPTICAL_DENSITY, mix, WHITE, out)
    difference = out.astype(int) - naive.restain(pixels, OPTICAL_DENSITY, mix, WHITE)
    assert np.abs(difference).max() <= 1  # a value on an integer may round either way
    assert np.count_nonzero(difference) <= 0.001 * out.size


def test_a_huge_negative_density_is_white_and_a_huge_positive_one_black():
    pixels = np.array([[1, 1, 1]], dtype=np.uint8)
    for scale, grey in ((-1e6, 255), (1e6, 0)):
        out = np.empty_like(pixels)
        _kernels.restain(pixels, OPTICAL_DENSITY, np.full((3, 3), scale), WHITE, out)
        assert (out == grey).all()


@given(arrays(np.float64, (3, 3), elements=st.floats(-100, 100)))
@settings(deadline=None, max_examples=200)
def test_eigenvalues_and_vectors_are_those_of_lapack(half):
    a = half + half.T
    values, vectors = np.empty(3), np.empty((3, 3))
    _kernels.symmetric_eigen(a.copy(), values, vectors)
    np.testing.assert_allclose(values, naive.symmetric_eigen(a)[0], atol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(a @ vectors, vectors * values, atol=1e-10)
