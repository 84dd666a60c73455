"""The grid over a slide and the resampling under it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_resample import naive_area, naive_cubic

from her2edge.errors import OptionError, SlideError
from her2edge.slide.grid import TileSize, plan_grid
from her2edge.slide.resample import resample_area, resample_cubic
from her2edge.tile import Pixels

SIDES = st.integers(1, 60_000)
SCALES = st.floats(0.1, 1.5)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


@given(SIDES, SIDES, SCALES, st.integers(1, 1024), SCALES)
def test_tiles_partition_the_slide(
    width: int, height: int, slide_mpp: float, tile_px: int, mpp: float
) -> None:
    assume(slide_mpp / mpp <= 2.2)
    grid = plan_grid((width, height), slide_mpp, TileSize(tile_px, mpp))
    half = 0.5 * grid.scale + 1e-6
    for side, count in ((width, grid.columns), (height, grid.rows)):
        assert count >= 1
        assert count * grid.step >= side - half, "something of the slide is left out"
        assert (count - 1) * grid.step < side, "the last tile is empty"


@given(SIDES, SCALES, st.integers(1, 1024))
def test_origins_are_multiples_of_the_step_and_valid_never_leaves_the_tile(
    width: int, mpp: float, tile_px: int
) -> None:
    grid = plan_grid((width, width), 0.25, TileSize(tile_px, max(mpp, 0.12)))
    last = grid.columns - 1
    assert grid.origin(last, 2) == (last * grid.step, 2 * grid.step)
    rows, columns = grid.valid(last, 0)
    assert 1 <= columns <= tile_px
    assert 1 <= rows <= tile_px
    assert grid.valid(0, 0)[1] == tile_px or grid.columns == 1


def test_a_whole_slide_makes_no_empty_last_column_from_float_noise() -> None:
    for tiles in range(1, 200):
        step = 512 * 0.25 / 0.2527
        grid = plan_grid((round(tiles * 512), 512), 0.1, TileSize(512, 0.1))
        assert grid.columns == tiles
        assert plan_grid((int(tiles * step), 600), 0.2527, TileSize(512, 0.25)).columns == tiles


def test_tiles_come_row_by_row_and_len_counts_them() -> None:
    grid = plan_grid((1000, 600), 0.25, TileSize(512, 0.25))
    assert list(grid) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert len(grid) == 4
    assert grid.valid(1, 1) == (88, 488)


def test_only_a_slide_more_than_5_percent_coarser_is_called_upsampled() -> None:
    assert not plan_grid((1000, 1000), 0.2527, TileSize(512, 0.25)).upsampled
    assert plan_grid((1000, 1000), 0.27, TileSize(512, 0.25)).upsampled
    assert not plan_grid((1000, 1000), 0.1, TileSize(512, 0.25)).upsampled


def test_a_slide_more_than_2_2_times_coarser_is_refused_with_both_scales() -> None:
    assert plan_grid((1000, 1000), 0.55, TileSize(512, 0.25)).upsampled
    with pytest.raises(SlideError, match=r"found 1 um per pixel, expected at most 0\.55 .* needs 0\.25"):
        plan_grid((1000, 1000), 1.0, TileSize(512, 0.25))


@pytest.mark.parametrize(
    ("tile_px", "mpp"), [(0, 0.25), (9000, 0.25), (512, 0.0), (512, float("nan")), (512, -1)]
)
def test_a_tile_size_that_makes_no_sense_is_refused(tile_px: int, mpp: float) -> None:
    with pytest.raises(OptionError):
        TileSize(tile_px, mpp)


@settings(max_examples=40, deadline=None)
@given(st.floats(-1, 3), st.floats(-1, 3), st.floats(1, 4.5), st.integers(1, 30), st.integers(1, 30))
def test_area_resampling_equals_its_naive_twin(x0: float, y0: float, scale: float, h: int, w: int) -> None:
    src = noise(h, w)
    out = np.empty((5, 6, 3), np.uint8)
    resample_area(src, x0, y0, scale, out)
    expected = naive_area(src, x0, y0, scale, 5, 6)
    touched = [p for p in range(6) if w - (x0 + p * scale) > 1e-5 and x0 + (p + 1) * scale > 1e-5]
    down = [p for p in range(5) if h - (y0 + p * scale) > 1e-5 and y0 + (p + 1) * scale > 1e-5]
    difference = np.abs(out.astype(int) - expected)[np.ix_(down, touched)]
    assert difference.max(initial=0) <= 1


@settings(max_examples=40, deadline=None)
@given(st.floats(-1, 3), st.floats(-1, 3), st.floats(0.3, 1), st.integers(1, 30), st.integers(1, 30))
def test_cubic_resampling_equals_its_naive_twin(x0: float, y0: float, scale: float, h: int, w: int) -> None:
    src = noise(h, w)
    out = np.empty((5, 6, 3), np.uint8)
    resample_cubic(src, x0, y0, scale, out)
    assert np.abs(out.astype(int) - naive_cubic(src, x0, y0, scale, 5, 6)).max() <= 1


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
def test_area_resampling_by_a_whole_ratio_equals_opencv(ratio: int) -> None:
    src = noise(40 * ratio, 50 * ratio)
    out = np.empty((40, 50, 3), np.uint8)
    resample_area(src, 0, 0, ratio, out)
    expected = cv2.resize(src, (50, 40), interpolation=cv2.INTER_AREA)
    assert np.abs(out.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("scale", [0.5, 0.501, 1.0, 1.9784, 3.7])
def test_a_constant_image_stays_constant(value: int, scale: float) -> None:
    src = np.full((60, 60, 3), value, np.uint8)
    out = np.empty((15, 15, 3), np.uint8)
    (resample_area if scale >= 1 else resample_cubic)(src, 0.37, 1.61, scale, out)
    assert (out == value).all()


def test_area_resampling_keeps_the_mean() -> None:
    src = noise(300, 300)
    out = np.empty((120, 120, 3), np.uint8)
    resample_area(src, 0, 0, 2.5, out)
    assert out.mean() == pytest.approx(src.mean(), abs=0.05)


@pytest.mark.parametrize(("scale", "x0"), [(0.5, 0.0), (0.501, 7.25), (0.99, 3.6), (1.0, 2.5), (2.0, 1.3)])
def test_a_linear_ramp_stays_that_ramp_at_the_sub_pixel_position(scale: float, x0: float) -> None:
    src = np.repeat(np.tile(np.arange(200, dtype=np.uint8), (20, 1))[..., None], 3, axis=2)
    out = np.empty((4, 40, 3), np.uint8)
    (resample_area if scale >= 1 else resample_cubic)(src, x0 + 4, 5, scale, out)
    expected = x0 + 4 + (np.arange(40) + 0.5) * scale - 0.5
    assert np.abs(out[..., 1] - expected).max() <= 1
