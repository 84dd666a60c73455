"""The paper's rule, exact at its boundaries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2edge import TissueFilter
from her2edge.errors import OptionError, TileError


def grey_tile(values, shape=(10, 10)):
    return np.repeat(np.resize(np.array(values, np.uint8), shape)[:, :, None], 3, axis=2)


@pytest.mark.parametrize(("grey", "share"), [(179, 0.0), (180, 1.0), (255, 1.0), (0, 0.0)])
def test_the_grey_bounds_are_inclusive(grey, share):
    assert TissueFilter().background_share(grey_tile([grey])) == share


@pytest.mark.parametrize(("bright", "background"), [(59, False), (60, True), (61, True)])
def test_sixty_of_a_hundred_bright_pixels_are_background_and_fifty_nine_are_not(bright, background):
    tile = grey_tile([200] * bright + [100] * (100 - bright))
    assert TissueFilter().is_background(tile) is background


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_share_is_that_of_opencvs_grey_histogram(height, width, seed):
    tile = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    histogram = cv2.calcHist([cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)], [0], None, [256], [0, 256])
    share = histogram.reshape(-1)[180:].sum() / tile[..., 0].size
    assert TissueFilter().background_share(tile) == share


def test_the_histogram_counts_every_grey_value_of_the_valid_part():
    tile = grey_tile([0, 7, 7, 255])
    tile[5:] = 99
    counts = TissueFilter().histogram(tile, valid=(5, 8))
    assert counts.dtype == np.int64
    assert {grey: n for grey, n in enumerate(counts) if n} == {0: 10, 7: 20, 255: 10}


def test_grey_is_weighted_as_rgb_and_not_as_bgr():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    grey = (9798 * 255 + 16384) >> 15
    assert TissueFilter(low=grey, high=grey).background_share(red) == 1.0


def test_padding_is_left_out_of_the_share():
    tile = grey_tile([255])
    tile[:5, :6] = 0
    assert TissueFilter().background_share(tile, valid=(5, 6)) == 0.0
    assert TissueFilter().background_share(tile) == 0.7


@pytest.mark.slow
def test_the_histogram_of_a_whole_image_is_exact():
    """OpenCV counts in float32, which ends at 2^24."""
    counts = TissueFilter().histogram(np.full((4097, 4097, 3), 7, np.uint8))
    assert counts[7] == counts.sum() == 4097**2


@pytest.mark.parametrize(
    "wrong",
    [{"low": 200, "high": 100}, {"high": 256}, {"low": 180.5}, {"low": "1"}, {"share": 0}, {"share": 1.2}],
)
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(OptionError, match="expected"):
        TissueFilter(**wrong)


@pytest.mark.parametrize("valid", [(0, 1), (11, 10), (10, 11)])
def test_a_valid_part_outside_the_tile_is_refused(valid):
    with pytest.raises(TileError, match="valid"):
        TissueFilter().background_share(grey_tile([1]), valid=valid)


def test_a_valid_part_may_be_numpy_integers():
    tile = grey_tile([255])
    assert TissueFilter().background_share(tile, valid=(np.int64(5), np.int32(5))) == 1.0
