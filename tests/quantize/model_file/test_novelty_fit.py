"""The fit of novelty beside scikit-learn's PCA, on features drawn here; needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from her2edge.errors import ModelError
from her2edge.model.novelty import MAX_BYTES, read_novelty
from her2edge_quantize.model_file.novelty import FEWEST_SLIDES, fit_novelty, novelty_bytes

CLASSES = 3
Drawn = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.str_]]


def drawn(slides: int, tiles: int, channels: int = 48, seed: int = 0, apart: float = 0.0) -> Drawn:
    """Features that vary by class, by slide and by tile, as those of a network do; `apart` moves them all."""
    random, shape = np.random.default_rng(seed), np.random.default_rng(99)
    axes = shape.normal(size=(12, channels)) * np.geomspace(3, 0.3, 12)[:, np.newaxis]
    places = shape.normal(size=(CLASSES, 12)) * 2
    labels = np.repeat(np.arange(slides) % CLASSES, tiles)
    own = np.repeat(random.normal(size=(slides, 12)) * 0.4, tiles, axis=0)
    factors = places[labels] + own + random.normal(size=(slides * tiles, 12)) + apart
    features = factors @ axes + random.normal(size=(slides * tiles, channels)) * 0.1
    return features.astype(np.float32), labels, np.repeat([f"s{i}" for i in range(slides)], tiles)


def exact(
    fit: Drawn,
    of: NDArray[np.float32],
    components: int,
) -> NDArray[np.float64]:
    """The distance in float64, by scikit-learn."""
    features, labels = fit[0].astype(np.float64), fit[1]
    pca = PCA(components).fit(features)
    places = np.stack([pca.transform(features[labels == k]).mean(axis=0) for k in range(CLASSES)])
    apart = pca.transform(of.astype(np.float64))[:, np.newaxis] - places
    distances: NDArray[np.float64] = (apart**2 / pca.explained_variance_).sum(axis=2).min(axis=1)
    return distances


@pytest.mark.parametrize("channels", [48, 400])
def test_int8_weights_rank_tiles_as_float_ones_do(channels: int) -> None:
    """Fewer tiles than channels, and more. Wanted: AUROC within 0.005."""
    fit = drawn(30, 10, channels)
    fitted = fit_novelty(*fit, CLASSES)
    usual, far = drawn(20, 10, channels, seed=1)[0], drawn(20, 10, channels, seed=2, apart=0.8)[0]
    truth = np.r_[np.zeros(len(usual)), np.ones(len(far))]
    both = np.concatenate([usual, far])
    float64 = exact(fit, both, fitted.record.components)
    int8 = np.array([fitted.novelty.distance(tile) for tile in both])
    assert 0.6 < roc_auc_score(truth, float64) < 0.999
    assert abs(roc_auc_score(truth, int8) - roc_auc_score(truth, float64)) <= 0.005
    assert np.corrcoef(int8, float64)[0, 1] > 0.97


def test_the_limit_is_that_of_slides_left_out_and_so_lets_a_twentieth_of_new_slides_tiles_beyond() -> None:
    fit = drawn(40, 4)
    fitted = fit_novelty(*fit, CLASSES)
    new = np.array([fitted.novelty.score(tile) for tile in drawn(200, 4, seed=5)[0]])
    own = np.array([fitted.novelty.score(tile) for tile in fit[0]])
    assert 0.025 < np.mean(new > 1) < 0.10
    assert np.mean(own > 1) < np.mean(new > 1)
    assert np.mean(fitted.distances > fitted.novelty.limit) == pytest.approx(0.05, abs=0.01)
    assert fitted.record.far_slides <= 2
    assert (fitted.record.slides, fitted.record.tiles) == (40, 160)


def test_a_slide_unlike_all_others_is_counted_as_far_when_it_is_left_out() -> None:
    features, labels, slides = drawn(30, 6)
    features[slides == "s7"] += 60
    record = fit_novelty(features, labels, slides, CLASSES).record
    assert record.far_slides == 1
    assert record.false_alarms == pytest.approx(1 / 30)


def test_the_order_of_the_tiles_changes_nothing_but_rounding() -> None:
    features, labels, slides = drawn(24, 5)
    turned = np.random.default_rng(3).permutation(len(features))
    one = fit_novelty(features, labels, slides, CLASSES)
    two = fit_novelty(features[turned], labels[turned], slides[turned], CLASSES)
    assert two.novelty.limit == pytest.approx(one.novelty.limit, rel=0.02)
    assert two.record == one.record


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(20, 30), st.integers(1, 3), st.integers(2, 4))
def test_what_is_fitted_is_a_member_that_is_read_back_as_it_was(
    channels: int, slides: int, tiles: int, labels: int
) -> None:
    """Also where a class has no tile: it has the place of all."""
    features, classes, names = drawn(slides, tiles, channels)
    fitted = fit_novelty(features, np.minimum(classes, labels - 1), names, labels)
    member = read_novelty(novelty_bytes(fitted.novelty), channels, labels)
    for tile in features:
        assert member.score(tile) == fitted.novelty.score(tile)
    assert 1 <= fitted.record.components <= min(32, channels, slides * tiles // 2)


@pytest.mark.parametrize("channels", [512, 1280, 2048])
def test_the_member_stays_below_32_kb_for_every_network(channels: int) -> None:
    fitted = fit_novelty(*drawn(25, 4, channels), CLASSES)
    assert len(novelty_bytes(fitted.novelty)) <= MAX_BYTES
    assert fitted.record.components >= 10


def test_features_that_cannot_be_fitted_are_refused() -> None:
    features, labels, slides = drawn(24, 4)
    broken = features.copy()
    broken[3, 3] = np.nan
    for wrong in (broken, np.ones_like(features), np.full_like(features, np.inf)):
        with pytest.raises(ModelError):
            fit_novelty(wrong, labels, slides, CLASSES)
    few = drawn(FEWEST_SLIDES - 1, 40)
    with pytest.raises(ModelError, match=r"19 slides .* 20 or more"):
        fit_novelty(*few, CLASSES)


def test_the_fit_asks_for_no_training_package() -> None:
    import her2edge_quantize.model_file.novelty as module

    text = Path(str(module.__file__)).read_text()
    assert not any(name in text for name in ("keras", "tensorflow", "sklearn", "scipy"))
