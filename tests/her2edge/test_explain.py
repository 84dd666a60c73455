"""Grad-CAM in closed form: the gradient it claims to be, the place it points to, and what is refused."""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np
import pytest
import tiny
from engines import with_network

from her2edge import MacenkoNormalizer, Model, Tile, TileClassifier
from her2edge.errors import ModelError, OptionError, TileError
from her2edge.explain import OPACITY, Explanation, class_map, scale_colours
from her2edge.model.file import Head

CLASSES = range(3)


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.FP32))


def toy_head(random, channels=5, units=7):
    """A head in float64, so that finite differences are exact but for rounding."""
    return Head(
        random.normal(size=(channels, units)),
        random.normal(size=units),
        random.normal(size=(units, 3)),
        random.normal(size=3),
    )


def logit(features, head, index):
    hidden = np.maximum(features.mean(axis=(0, 1)) @ head.w1 + head.b1, 0)
    return (hidden @ head.w2 + head.b2)[index]


def numeric_gradient(features, head, index, step=1e-6):
    gradient = np.empty_like(features)
    for place in np.ndindex(features.shape):
        up, down = features.copy(), features.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (logit(up, head, index) - logit(down, head, index)) / (2 * step)
    return gradient


def correlation(a, b):
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


@pytest.mark.parametrize("index", CLASSES)
def test_the_closed_form_is_the_gradient_found_by_finite_differences(index):
    random = np.random.default_rng(index)
    head, features = toy_head(random), random.normal(size=(3, 4, 5))
    weights = numeric_gradient(features, head, index).mean(axis=(0, 1))
    expected = np.maximum((features * weights).sum(axis=2), 0)
    assert 0 < np.count_nonzero(features.mean(axis=(0, 1)) @ head.w1 + head.b1 > 0) < 7
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_allclose(class_map(features, head, index), expected, rtol=1e-5, atol=1e-8)


def test_the_places_of_a_map_add_up_to_the_logit_less_a_constant():
    random = np.random.default_rng(5)
    head = Head(*(np.abs(array) for array in vars(toy_head(random)).values()))  # nothing for the relu to cut
    features = random.uniform(size=(4, 4, 5))
    constant = head.b1 @ head.w2[:, 1] + head.b2[1]
    np.testing.assert_allclose(
        class_map(features, head, 1).sum() + constant, logit(features, head, 1), rtol=1e-6
    )


def test_a_feature_that_lights_only_the_top_left_corner_is_found_there():
    head = Head(np.eye(2), np.zeros(2), np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(3))
    features = np.zeros((8, 8, 2), np.float32)
    features[0, 0, 0] = features[7, 7, 1] = 3
    found = class_map(features, head, 0)
    assert np.flatnonzero(found).tolist() == [0]
    overlay = Explanation(found, "0/1+", None).overlay(np.zeros((64, 64, 3), np.uint8)).astype(int)
    yellower = overlay[..., 0] - overlay[..., 2]
    assert np.all(yellower[:4, :4] > 0)
    assert np.all(yellower[16:] < 0)
    assert np.all(yellower[:, 16:] < 0)
    assert np.flatnonzero(class_map(features, head, 1)).tolist() == [63]
    assert not class_map(features, head, 2).any()


@pytest.mark.parametrize("value", [0.0, 2.5, 1e-42])
def test_a_map_that_is_the_same_everywhere_gives_a_plain_overlay(value):
    tile = np.random.default_rng(1).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    overlay = Explanation(np.full((4, 4), value, np.float32), "2+", None).overlay(tile)
    colour = (68, 1, 84) if value == 0 else (253, 231, 37)  # both ends of matplotlib's viridis
    expected = (1 - OPACITY) * tile + OPACITY * np.array(colour)
    assert np.abs(overlay - expected).max() <= 1


def test_the_overlays_colours_are_matplotlibs_viridis_and_grow_evenly_brighter():
    """Brightness is CIE L*: jet rises and falls twice, which shows edges that are not there."""
    values = np.linspace(0, 1, 256)[None]
    colours = scale_colours(values)[0]
    expected = np.rint(255 * matplotlib.colormaps["viridis"](values[0])[:, :3])
    assert np.abs(colours - expected).max() <= 2
    lightness = cv2.cvtColor(np.float32(colours[None] / 255), cv2.COLOR_RGB2LAB)[0, :, 0]
    steps = np.diff(lightness[::8])
    assert steps.min() > 0
    assert steps.max() < 1.6 * steps.min()


def test_an_overlay_has_the_size_of_the_pixels_it_is_laid_on():
    explanation = Explanation(np.eye(3, dtype=np.float32), "2+", None)
    overlay = explanation.overlay(np.zeros((90, 40, 3), np.uint8))
    assert (overlay.shape, overlay.dtype) == ((90, 40, 3), np.uint8)
    with pytest.raises(TileError, match="greyscale"):
        explanation.overlay(np.zeros((90, 40), np.uint8))


def test_the_class_predicted_is_explained_unless_another_is_named(classifier):
    for tile in tiny.tissue(3):
        result = classifier.classify(tile)
        explanation = classifier.explain(tile)
        assert explanation.label == explanation.result.label == result.label
        np.testing.assert_array_equal(explanation.result.probabilities, result.probabilities)
        assert explanation.result.tissue_fraction == result.tissue_fraction
        assert (explanation.map.shape, explanation.map.dtype) == ((16, 16), np.float32)
        assert explanation.map.min() >= 0
        assert np.array_equal(classifier.explain(tile.pixels, result.label).map, explanation.map)


def test_each_class_has_a_map_of_its_own(classifier):
    tile = tiny.tissue(1)[0]
    explained = [classifier.explain(tile, label) for label in ("0/1+", "2+", "3+")]
    assert [explanation.label for explanation in explained] == ["0/1+", "2+", "3+"]
    assert len({explanation.result.label for explanation in explained}) == 1
    assert all(explanation.map.any() for explanation in explained)
    assert all(correlation(explained[i].map, explained[i - 1].map) < 0.98 for i in CLASSES)


def test_the_map_is_that_of_the_pixels_the_network_saw(classifier):
    tile = tiny.tissue(1)[0]
    model, off = classifier.model, classifier.with_stain("off")
    features = off.engine.runtime.features(tile.pixels)
    np.testing.assert_array_equal(off.explain(tile, "2+").map, class_map(features, model.head, 1))
    assert not np.array_equal(off.explain(tile, "2+").map, classifier.explain(tile, "2+").map)


@pytest.mark.parametrize("path", [tiny.INT8, tiny.FP32])
def test_logits_and_features_of_one_run_are_those_of_two(path):
    model = Model.load(path)
    runtime = TileClassifier(model).engine.runtime
    for pixels in model.golden.tiles:
        logits, features = runtime.logits_and_features(pixels)
        np.testing.assert_array_equal(logits, runtime.logits(pixels))
        np.testing.assert_array_equal(features, runtime.features(pixels))


def test_an_int8_model_points_where_its_float_twin_points(classifier):
    """A map jumps when a unit of the head goes on or off, and the tiny head has only 12 of them."""
    int8 = TileClassifier(Model.load(tiny.INT8))
    same, all_of_them = [], []
    for tile in tiny.tissue(20):
        on = [units_on(it, tile) for it in (int8, classifier)]
        for label in ("0/1+", "2+", "3+"):
            found = correlation(int8.explain(tile, label).map, classifier.explain(tile, label).map)
            all_of_them.append(found)
            if np.array_equal(*on):
                same.append(found)
    assert len(same) > len(all_of_them) / 2
    assert min(same) > 0.995
    assert np.mean(all_of_them) > 0.95


def units_on(classifier, tile):
    model = classifier.model
    seen = MacenkoNormalizer(target=model.stain_target).normalize(tile.pixels).pixels
    pooled = classifier.engine.runtime.features(seen).mean(axis=(0, 1))
    return pooled @ model.head.w1 + model.head.b1 > 0


def no_network(classifier):
    return with_network(classifier, logits_and_features=lambda _: pytest.fail("the network ran"))


@pytest.mark.parametrize("label", ["3", "", "positive", 2])
def test_an_unknown_class_is_refused_with_the_known_ones(classifier, label):
    with pytest.raises(OptionError, match=r"expected one of 0/1\+, 2\+, 3\+"):
        no_network(classifier).explain(tiny.tissue(1)[0], label)


def test_background_is_refused_and_not_shown_to_the_network(classifier):
    with pytest.raises(TileError, match=r"background tile \(tissue fraction 0.00\)"):
        no_network(classifier).explain(tiny.glass())


@pytest.mark.parametrize(
    ("tile", "said"),
    [
        (np.zeros((7, tiny.SIZE, 3), np.uint8), f"{tiny.SIZE}x7 px"),
        (np.zeros((tiny.SIZE, tiny.SIZE, 4), np.uint8), "RGBA"),
        (Tile(tiny.glass(), mpp=2 * tiny.MPP), "um per pixel"),
        (Tile(tiny.glass(), valid=(0, 3)), "valid"),
    ],
)
def test_a_tile_that_classify_refuses_is_refused_here_too(classifier, tile, said):
    with pytest.raises(TileError, match=said):
        classifier.explain(tile)


def test_a_network_that_gives_no_numbers_is_refused(classifier):
    broken = np.zeros(3, np.float32), np.full((16, 16, 16), np.nan, np.float32)
    with pytest.raises(ModelError, match="not finite"):
        with_network(classifier, logits_and_features=lambda _: broken).explain(tiny.tissue(1)[0])
