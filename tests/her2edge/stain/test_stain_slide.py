"""One stain fit of many tiles: exact sums, any order, near the fit of the same pixels one by one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import SHARED, needs, with_jit_only

from her2edge import MacenkoNormalizer, SlideReader
from her2edge.errors import OptionError, SlideError, StainError, TileError
from her2edge.results import fit_slide
from her2edge.stain import StainAccumulator
from her2edge.stain.profiles import MACENKO
from her2edge_training import synthetic

IMAGES = sorted(path.name for path in (SHARED / "tiles").glob("*.jpg"))


def tissue(seed, side=64):
    amounts = np.random.default_rng(seed).gamma(2.0, 0.3, (2, side * side))
    light = 240 * np.exp(-MACENKO.stain_matrix @ amounts)
    return light.T.reshape(side, side, 3).astype(np.uint8)


TILES = [tissue(seed) for seed in range(6)]


def same(one, other):
    np.testing.assert_array_equal(one.stain_matrix, other.stain_matrix)
    np.testing.assert_array_equal(one.max_concentration, other.max_concentration)


@given(st.permutations(range(6)), st.integers(0, 6))
@settings(deadline=None, max_examples=20)
def test_order_and_merging_change_nothing(order, cut):
    expected = StainAccumulator()
    for pixels in TILES:
        expected.update(pixels)
    first, second = StainAccumulator(), StainAccumulator()
    for number in order[:cut]:
        first.update(TILES[number])
    for number in order[cut:]:
        second.update(TILES[number])
    merged = second.merge(first)
    assert merged.pixels == 6 * 64 * 64
    same(merged.freeze(), expected.freeze())


@needs("tiles")
@pytest.mark.parametrize("profile", ["torchstain", "tiatoolbox"])
@pytest.mark.parametrize("name", IMAGES)
def test_the_frozen_fit_is_near_the_exact_one_of_the_same_pixels(name, profile):
    image = cv2.cvtColor(cv2.imread(str(SHARED / "tiles" / name)), cv2.COLOR_BGR2RGB)
    exact = MacenkoNormalizer(profile, exact=True).fit(image)
    frozen = StainAccumulator(profile).update(image).freeze()
    for stain in range(2):
        a, b = exact.stain_matrix[:, stain], frozen.stain_matrix[:, stain]
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) <= 0.5
    np.testing.assert_allclose(frozen.max_concentration, exact.max_concentration, rtol=0.02)


def test_padding_is_left_out():
    padded = np.full((128, 128, 3), 255, np.uint8)
    padded[:64, :64] = TILES[0]
    inside = StainAccumulator().update(padded, valid=(64, 64))
    assert inside.pixels == 64 * 64
    same(inside.freeze(), StainAccumulator().update(TILES[0]).freeze())


def test_more_tiles_after_a_freeze_leave_the_frozen_fit_alone():
    collected = StainAccumulator().update(TILES[0])
    before = collected.freeze()
    matrix = before.stain_matrix.copy()
    collected.update((TILES[1] // 2).astype(np.uint8))
    np.testing.assert_array_equal(before.stain_matrix, matrix)
    assert not np.array_equal(collected.freeze().max_concentration, before.max_concentration)


@pytest.mark.parametrize(
    ("pixels", "status"),
    [
        (np.full((64, 64, 3), 250, np.uint8), "background"),
        (np.full((64, 64, 3), (150, 90, 160), np.uint8), "rank_deficient"),
        (np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8), "rank_deficient"),
    ],
    ids=["glass", "one colour", "noise"],
)
def test_pixels_without_two_stains_are_refused_with_the_status(pixels, status):
    with pytest.raises(StainError, match=status):
        StainAccumulator().update(pixels).freeze()


def test_nothing_collected_is_refused():
    with pytest.raises(StainError, match="0 pixels"):
        StainAccumulator().freeze()


def test_other_profiles_and_other_arrays_are_refused():
    with pytest.raises(OptionError, match="torchstain, tiatoolbox"):
        StainAccumulator("reinhard")
    with pytest.raises(StainError, match="one profile"):
        StainAccumulator().merge(StainAccumulator("tiatoolbox"))
    with pytest.raises(TileError):
        StainAccumulator().update(np.zeros((8, 8), np.uint8))


@pytest.fixture
def slide(tmp_path):
    model = synthetic.make_slide_model("2+", synthetic.SITES[2], 7)
    pixels = synthetic.make_slide_image(model, 2048, 1536, 0.25).pixels
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path, model.stain_matrix


@with_jit_only
def test_a_slide_has_the_stains_it_was_drawn_with(slide):
    path, known = slide
    with SlideReader(path, mpp=0.25) as reader:
        fit = fit_slide(reader)
        same(fit, fit_slide(reader))
    for stain, limit in ((0, 3.0), (1, 6.0)):
        found = fit.stain_matrix[:, stain]
        cosine = found @ known[:, stain] / np.linalg.norm(found)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) <= limit


def test_the_sample_is_spread_over_the_slide_and_never_larger_than_asked_for(slide):
    path, _ = slide
    with SlideReader(path, mpp=0.25) as reader:
        for at_most in (1, 2, 5, 12, 100, 191):
            places = [(tile.x, tile.y) for tile in reader.sample(128, at_most)]
            assert 0.7 * at_most <= len(places) <= at_most
        assert len(list(reader.sample(128, 10_000))) == 16 * 12
        xs, ys = zip(*((tile.x, tile.y) for tile in reader.sample(128, 12)), strict=True)
    assert max(xs) - min(xs) >= 1024
    assert max(ys) - min(ys) >= 768


def test_a_narrow_slide_is_sampled_too(tmp_path):
    path = tmp_path / "ribbon.png"
    cv2.imwrite(str(path), np.full((4000, 40, 3), 128, np.uint8))
    with SlideReader(path, mpp=0.25) as reader:
        assert len(list(reader.sample(32, 10))) >= 5


def test_a_folder_is_sampled_file_by_file(tmp_path):
    for number in range(7):
        cv2.imwrite(str(tmp_path / f"{number}.png"), TILES[number % 6][..., ::-1])
    with SlideReader(tmp_path) as reader:
        assert [tile.slide for tile in reader.sample(512, 3)] == ["0.png", "3.png", "6.png"]
        assert fit_slide(reader).max_concentration.shape == (2,)
        for wrong in (0, 2.5):
            with pytest.raises(OptionError, match="at_most"):
                reader.sample(512, wrong)
    with pytest.raises(SlideError, match="closed"):
        list(reader.sample(512, 3))


def test_a_slide_of_glass_has_no_stains(tmp_path):
    path = tmp_path / "glass.png"
    cv2.imwrite(str(path), np.full((600, 600, 3), 245, np.uint8))
    with SlideReader(path, mpp=0.25) as reader, pytest.raises(StainError, match="0 pixels"):
        fit_slide(reader)
