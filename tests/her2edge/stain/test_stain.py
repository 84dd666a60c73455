"""Profile `torchstain` against the installed torchstain, on real tissue (STAIN: conformance table)."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shared_data import SHARED, needs
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer

from her2edge import MacenkoNormalizer
from her2edge.errors import MissingInputError, OptionError, StainError
from her2edge.stain import StainFit, StainSource, StainStatus
from her2edge.stain.profiles import MACENKO, find_profile

REAL_TILES = [
    (path.name, x, y) for path in sorted((SHARED / "tiles").glob("*.jpg")) for x, y in ((0, 0), (700, 400))
]


EXACT, FAST = MacenkoNormalizer(exact=True), MacenkoNormalizer()


def real_tile(name, x, y, size=512):
    image = cv2.cvtColor(cv2.imread(str(SHARED / "tiles" / name)), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(image[y : y + size, x : x + size])


def torchstain_matrices(pixels):
    """Stain matrix, concentrations and maxC by torchstain's own private method."""
    reference = NumpyMacenkoNormalizer()
    return reference._NumpyMacenkoNormalizer__compute_matrices(pixels, 240, 1, 0.15)


@needs("tiles")
@pytest.mark.parametrize(("name", "x", "y"), REAL_TILES)
def test_real_tiles_come_out_as_torchstain_has_them(name, x, y):
    pixels = real_tile(name, x, y)
    ours = EXACT.normalize(pixels)
    assert ours.status is StainStatus.OK
    matrix, _, strongest = torchstain_matrices(pixels)
    np.testing.assert_allclose(ours.fit.stain_matrix, matrix, atol=1e-9)
    np.testing.assert_allclose(ours.fit.max_concentration, strongest, atol=1e-9)
    theirs = NumpyMacenkoNormalizer().normalize(pixels)[0]
    difference = np.abs(ours.pixels.astype(int) - theirs)
    assert difference.max() <= 1
    assert np.mean(difference == 0) >= 0.9999
    fast = np.abs(FAST.normalize(pixels).pixels.astype(int) - theirs)
    assert fast.max() <= 2
    assert fast.mean() <= 0.05
    assert np.mean(fast == 0) >= 0.995


def test_at_least_twenty_real_tiles_are_compared():
    if not REAL_TILES:
        pytest.skip("no real tiles here")
    assert len(REAL_TILES) >= 20


@needs("stain/torchstain_source.png", "stain/torchstain_target.png")
def test_a_target_fitted_from_an_image_gives_what_torchstain_gives():
    source, target = (
        cv2.cvtColor(cv2.imread(str(SHARED / "stain" / f"torchstain_{which}.png")), cv2.COLOR_BGR2RGB)
        for which in ("source", "target")
    )
    reference = NumpyMacenkoNormalizer()
    reference.fit(target)
    ours = MacenkoNormalizer(target=EXACT.fit(target), exact=True).normalize(source)
    difference = np.abs(ours.pixels.astype(int) - reference.normalize(source)[0])
    assert difference.max() <= 1
    assert np.mean(difference == 0) >= 0.9999


@needs("tiles")
def test_shuffled_pixels_have_the_same_stains():
    pixels = real_tile("brecahad-10011.jpg", 0, 0)
    shuffled = np.random.default_rng(0).permutation(pixels.reshape(-1, 3)).reshape(pixels.shape)
    one, other = EXACT.fit(pixels), EXACT.fit(shuffled)
    np.testing.assert_allclose(one.stain_matrix, other.stain_matrix, atol=1e-9)
    np.testing.assert_allclose(one.max_concentration, other.max_concentration, atol=1e-9)


@needs("tiles")
def test_a_rotated_tile_comes_out_rotated():
    pixels = real_tile("brecahad-10011.jpg", 0, 0)
    upright = EXACT.normalize(pixels).pixels
    turned = EXACT.normalize(np.rot90(pixels)).pixels
    difference = np.abs(np.rot90(upright).astype(int) - turned)
    assert difference.max() <= 1
    assert np.mean(difference == 0) >= 0.9999


def test_pixels_of_two_stains_normalised_to_their_own_stay_what_they_were():
    amounts = np.random.default_rng(6).gamma(2.0, 0.3, (2, 100 * 100))
    light = 240 * np.exp(-MACENKO.stain_matrix @ amounts)
    pixels = light.T.reshape(100, 100, 3).astype(np.uint8)
    out = MacenkoNormalizer(target=MacenkoNormalizer().fit(pixels)).normalize(pixels).pixels
    assert np.abs(out.astype(int) - pixels).mean() <= 2


@needs("tiles")
@pytest.mark.parametrize(("name", "x", "y"), REAL_TILES[::6])
def test_real_tiles_normalised_to_their_own_lose_what_torchstain_loses(name, x, y):
    """Real light does not lie in the plane of two stains: the loss is up to 5 levels, in both."""
    pixels = real_tile(name, x, y)
    own = EXACT.fit(pixels)
    reference = NumpyMacenkoNormalizer()
    reference.HERef, reference.maxCRef = own.stain_matrix, own.max_concentration
    theirs = reference.normalize(pixels)[0]
    ours = MacenkoNormalizer(target=own, exact=True).normalize(pixels).pixels
    assert np.mean(ours == theirs) >= 0.9999
    assert np.abs(ours.astype(int) - pixels).mean() <= 5


@needs("tiles")
def test_a_given_fit_is_used_and_named():
    pixels = real_tile("brecahad-10011.jpg", 0, 0)
    fit = MacenkoNormalizer().fit(real_tile("brecahad-10013.jpg", 0, 0))
    result = MacenkoNormalizer().normalize(pixels, fit=fit)
    assert (result.status, result.source) == (StainStatus.OK, StainSource.GIVEN)
    assert result.fit is fit
    assert not np.array_equal(result.pixels, MacenkoNormalizer().normalize(pixels).pixels)


def test_a_given_fit_on_glass_says_that_there_is_no_tissue():
    result = MacenkoNormalizer().normalize(np.full((64, 64, 3), 245, np.uint8), fit=MACENKO)
    assert (result.status, result.source) == (StainStatus.BACKGROUND, StainSource.GIVEN)


@needs("tiles")
def test_padding_neither_changes_the_fit_nor_is_stained():
    pixels = real_tile("brecahad-10011.jpg", 0, 0)
    padded = np.full_like(pixels, 255)
    padded[:300, :400] = pixels[:300, :400]
    alone = MacenkoNormalizer().normalize(np.ascontiguousarray(pixels[:300, :400]))
    inside = MacenkoNormalizer().normalize(padded, valid=(300, 400))
    np.testing.assert_array_equal(inside.pixels[:300, :400], alone.pixels)
    assert (inside.pixels[300:] == 255).all()
    assert (inside.pixels[:, 400:] == 255).all()


@needs("tiles")
def test_input_is_never_changed_and_views_give_the_same_answer():
    pixels = real_tile("brecahad-10011.jpg", 0, 0)
    before = pixels.copy()
    frozen = pixels.copy()
    frozen.flags.writeable = False
    wide = np.zeros((512, 1024, 3), np.uint8)
    wide[:, ::2] = pixels
    expected = MacenkoNormalizer().normalize(pixels).pixels
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(MacenkoNormalizer().normalize(frozen).pixels, expected)
    np.testing.assert_array_equal(MacenkoNormalizer().normalize(wide[:, ::2]).pixels, expected)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(OptionError, match="torchstain"):
        MacenkoNormalizer(profile="reinhard")


def test_exact_is_true_or_false_and_nothing_else():
    with pytest.raises(OptionError, match="True or False"):
        MacenkoNormalizer(exact="double")


@needs("tiles")
def test_a_tile_that_fails_a_guard_gets_the_fallback_and_any_other_its_own_fit():
    fit = FAST.fit(real_tile("brecahad-10013.jpg", 0, 0))
    tissue, pen = real_tile("brecahad-10011.jpg", 0, 0), np.full((64, 64, 3), (30, 60, 200), np.uint8)
    own, fallen = (FAST.normalize(pixels, fallback=fit) for pixels in (tissue, pen))
    assert own.source is StainSource.TILE
    assert own.fit is not fit
    assert (fallen.status, fallen.source) == (StainStatus.RANK_DEFICIENT, StainSource.GIVEN)
    assert fallen.fit is fit
    np.testing.assert_array_equal(fallen.pixels, FAST.normalize(pen, fit=fit).pixels)


def test_fits_of_two_profiles_are_not_mixed():
    other = StainFit(MACENKO.stain_matrix, MACENKO.max_concentration, "tiatoolbox")
    with pytest.raises(StainError, match="profile 'tiatoolbox'"):
        MacenkoNormalizer(target=other)
    with pytest.raises(StainError, match="profile 'tiatoolbox'"):
        FAST.normalize(np.zeros((8, 8, 3), np.uint8), fit=other)


@pytest.mark.parametrize("profile", ["torchstain", "tiatoolbox"])
def test_the_sign_that_an_eigenvector_comes_with_does_not_matter(profile):
    vectors = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    mean = np.array([0.4, 0.7, 0.5])
    expected = find_profile(profile).orient(vectors, mean)
    for signs in itertools.product((-1, 1), repeat=3):
        np.testing.assert_array_equal(find_profile(profile).orient(vectors * signs, mean), expected)


def test_tiles_before_it_do_not_change_a_tile():
    """Scratch memory is used again, by larger and smaller tiles and in both precisions."""
    rng = np.random.default_rng(10)
    tiles = []
    for h, w in ((60, 70), (200, 150), (16, 17), (130, 40), (60, 70)):
        light = 240 * np.exp(-MACENKO.stain_matrix @ rng.gamma(2.0, 0.3, (2, h * w)))
        tiles.append(light.T.reshape(h, w, 3).astype(np.uint8))
    for normalizer in (FAST, EXACT):
        together = [normalizer.normalize(tile).pixels for tile in tiles]
        for tile, pixels in zip(tiles, together, strict=True):
            with ThreadPoolExecutor(1) as pool:  # a new thread has scratch memory of its own, unused
                alone = pool.submit(normalizer.normalize, tile).result().pixels
            np.testing.assert_array_equal(pixels, alone)


def test_threads_get_the_same_bytes():
    """Scratch memory is each thread's own."""
    rng = np.random.default_rng(8)
    amounts = rng.gamma(2.0, 0.3, (12, 2, 4000))
    tiles = [(240 * np.exp(-MACENKO.stain_matrix @ a)).T.reshape(50, 80, 3).astype(np.uint8) for a in amounts]
    alone = [FAST.normalize(tile).pixels for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: FAST.normalize(tile).pixels, tiles * 5))
    for number, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, alone[number % 12])


@pytest.mark.parametrize(
    ("matrix", "strongest", "said"),
    [
        (np.eye(3), [1, 1], r"\(3, 2\)"),
        ([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [1, 1], "singular"),
        ([[0.5, 0.1], [0.7, 0.9], [np.nan, 0.5]], [1, 1], "NaN"),
        ([[0.5, 0.1], [0.7, 0.9], [0.4, 0.5]], [0, 1], "concentrations"),
        ([["a", "b"]], [1, 1], "numbers"),
    ],
)
def test_an_unusable_target_is_refused_with_what_is_wrong(matrix, strongest, said):
    with pytest.raises(StainError, match=said):
        StainFit.from_dict({"stain_matrix": matrix, "max_concentration": strongest})


@pytest.mark.parametrize("profile", ["torchstain", "tiatoolbox"])
def test_a_fit_survives_its_file(tmp_path, profile):
    fit = StainFit(np.array([[0.5, 0.1], [0.7, 0.9], [0.4, 0.5]]), np.array([1.5, 0.7]), profile)
    fit.save(tmp_path / "fit.json")
    again = StainFit.load(tmp_path / "fit.json")
    np.testing.assert_array_equal(again.stain_matrix, fit.stain_matrix)
    np.testing.assert_array_equal(again.max_concentration, fit.max_concentration)
    assert again.profile == profile


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"truncated.*expected a stain fit \(JSON\)"),
        (b"\x00\xff", r"malformed.*expected a stain fit \(JSON\)"),
        (b"[" * 20000, r"expected a stain fit \(JSON\)"),
        (b"[1, 2]", r"found \[1, 2\], expected named fields"),
        (b"{}", "without max_concentration, stain_matrix"),
        (b'{"stain_matrix": [[1, 0]], "max_concentration": [1, 1]}', r"stain matrix \(1, 2\)"),
        (
            b'{"stain_matrix": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], "max_concentration": [1, 1]}',
            "singular",
        ),
        (
            b'{"profile": 3, "stain_matrix": [[1, 0], [0, 1], [0, 0]], "max_concentration": [1, 1]}',
            "profile 3",
        ),
        (b" " * (1 << 17), "64 KiB"),
        (
            b'{"stain_matrix": [[1, 0], [0, 1], [0, 0]], "max_concentration": [1' + b"0" * 400 + b", 1]}",
            "expected numbers",
        ),
        (b'{"stain_matrix": [[1, 0], [0, 1], [0, 0]], "max_concentration": [1e300, 1]}', "0.001..1000"),
        (b'{"stain_matrix": [["1", 0], [0, 1], [0, 0]], "max_concentration": [1, 1]}', "numbers"),
        (b'{"stain_matrix": [[50, 0], [0, 1], [0, 0]], "max_concentration": [1, 1]}', "at most 10"),
    ],
    ids=[
        "empty",
        "binary",
        "deep",
        "list",
        "nothing",
        "shape",
        "singular",
        "profile",
        "huge",
        "overflow",
        "too strong",
        "text",
        "too large",
    ],
)
def test_a_damaged_target_file_is_refused_with_what_is_wrong(tmp_path, content, said):
    (tmp_path / "fit.json").write_bytes(content)
    with pytest.raises(StainError, match=said) as refused:
        StainFit.load(tmp_path / "fit.json")
    assert str(refused.value).startswith("fit.json: ")
    assert "\n" not in str(refused.value)


def test_a_folder_is_no_target_file(tmp_path):
    with pytest.raises(StainError, match="found a folder") as refused:
        StainFit.load(tmp_path)
    assert str(tmp_path.parent) not in str(refused.value)


@pytest.mark.parametrize("target", ["macenko", {"stain_matrix": []}])
def test_what_is_no_fit_is_refused_with_where_to_find_one(target):
    with pytest.raises(OptionError, match="TARGETS"):
        MacenkoNormalizer(target=target)
    with pytest.raises(OptionError, match="TARGETS"):
        FAST.normalize(np.zeros((8, 8, 3), np.uint8), fit=target)


def test_a_missing_target_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"fit\.json"):
        StainFit.load(tmp_path / "fit.json")


@given(arrays(np.float64, (3, 2), elements=st.floats(0.05, 1)))
def test_unmixing_is_numpys_pseudo_inverse(matrix):
    assume(np.linalg.svd(matrix, compute_uv=False)[1] > 0.01)
    np.testing.assert_allclose(
        StainFit(matrix, np.ones(2)).unmix, np.linalg.pinv(matrix), rtol=1e-6, atol=1e-9
    )


def test_a_target_is_not_fitted_from_glass():
    with pytest.raises(StainError, match="background"):
        MacenkoNormalizer().fit(np.full((64, 64, 3), 245, np.uint8))
