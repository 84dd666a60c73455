"""Grad-CAM of Keras networks by gradient, and that the closed form on a model file gives the same map."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import make_tiny_model as tiny
import numpy as np
import pytest
from msgspec.structs import replace

pytest.importorskip("tensorflow", reason="the tiny model is converted by TensorFlow")

from her2edge.classifier import TileClassifier
from her2edge.errors import MissingInputError, ModelError, OptionError, TileError
from her2edge.explain import class_map
from her2edge.model.file import Model
from her2edge.tile import LABELS, Tile
from her2edge_quantize.convert.head import fold_head
from her2edge_training.network.backend import keras
from her2edge_training.network.explain import NetworkExplainer
from her2edge_training.network.gradcam import GradCam
from her2edge_training.network.networks import build_model
from her2edge_training.recipe import Recipe, Stage, Stain, dump_recipe
from her2edge_training.run.codecs import table_bytes
from her2edge_training.run.explain import load_explainer
from her2edge_training.run.records import SplitRow

RECIPE = Recipe("tiny", "se_resnet50", (Stage(64, 1, 1e-3, 8),), mpp=0.5, tile_px=tiny.TILE_PX)


@cache
def network() -> Any:
    return tiny.build()


@cache
def gradcam() -> GradCam:
    return GradCam(network())


@cache
def explainer() -> NetworkExplainer:
    return NetworkExplainer(network(), mpp=0.5)


def correlation(a: Any, b: Any) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def two_maps(model: Any, tiles: Any, index: int) -> tuple[Any, Any]:
    """By gradient and in closed form, of all tiles."""
    by_gradient, head = GradCam(model), fold_head(model)
    features = [by_gradient.logits_and_features(tile)[1] for tile in tiles]
    return (
        np.stack([by_gradient.class_map(f, index) for f in features]),
        np.stack([class_map(f, head, index) for f in features]),
    )


def settle(model: Any, tiles: Any) -> None:
    """Give every batch norm weights and statistics of its own; the last two get those of `tiles`."""
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            ranges = ((0.8, 1.2), (-0.3, 0.3), (-0.1, 0.1), (0.7, 1.4))
            layer.set_weights([random.uniform(*limits, n) for limits in ranges])
    for source, name in (("separable", "separable_bn"), ("dense", "dense_bn")):
        part = keras.Model(model.input, model.get_layer(source).output)
        values = np.asarray(part(tiles.astype(np.float32), training=False))
        axes = tuple(range(values.ndim - 1))
        gamma, beta, _, _ = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([gamma, beta, values.mean(axis=axes), values.var(axis=axes)])


@pytest.mark.parametrize("index", range(3))
def test_closed_form_and_gradient_give_one_map(index: int) -> None:
    by_gradient, closed = two_maps(network(), tiny.network_inputs(6, first=700), index)
    assert min(map(correlation, by_gradient, closed)) > 0.999
    np.testing.assert_allclose(closed, by_gradient, atol=1e-5 * closed.max())


@pytest.mark.slow
def test_closed_form_and_gradient_give_one_map_on_the_papers_network() -> None:
    keras.utils.set_random_seed(4)
    model = build_model("se_resnet50", tile_px=96)
    tiles = np.stack([tiny.tissue(700 + i, 96) for i in range(6)])
    settle(model, tiles)
    for index in range(3):
        by_gradient, closed = two_maps(model, tiles, index)
        assert closed.size / 8 < np.count_nonzero(closed) < closed.size
        assert correlation(by_gradient, closed) > 0.999
        np.testing.assert_allclose(closed, by_gradient, atol=1e-4 * closed.max())


def test_the_gradient_is_the_slope_of_the_logit_of_keras() -> None:
    features = gradcam().logits_and_features(tiny.network_inputs(1, first=700)[0])[1]
    head = keras.Model(network().get_layer("features").output, network().output)
    way = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    step = np.float32(1e-2)
    up, down = (np.asarray(head((features + s * way)[None], training=False))[0] for s in (step, -step))
    for index in range(3):
        slope = float((gradcam().gradient(features, index) * way).sum())
        assert slope == pytest.approx((up[index] - down[index]) / (2 * step), rel=0.01, abs=1e-4)


def test_logits_are_those_of_the_network_and_asking_twice_changes_nothing() -> None:
    tile = tiny.network_inputs(1, first=700)[0]
    logits, features = gradcam().logits_and_features(tile)
    np.testing.assert_allclose(
        logits, np.asarray(network()(tile[None].astype(np.float32), training=False))[0], atol=1e-5
    )
    first = [gradcam().class_map(features, index) for index in range(3)]
    again = [gradcam().class_map(features, index) for index in range(3)]
    np.testing.assert_array_equal(first, again)


def test_the_network_is_left_as_it_was() -> None:
    model = tiny.build()
    before = [weight.copy() for weight in model.get_weights()]
    trainable = [layer.trainable for layer in model.layers]
    two_maps(model, tiny.network_inputs(1), 0)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert [layer.trainable for layer in model.layers] == trainable
    assert len(model.trainable_weights) == 11


@pytest.mark.parametrize(("scheme", "least", "middle"), [("fp32", 0.999, 0.999), ("int8", -1.0, 0.99)])
def test_a_model_file_explains_tiles_as_its_network_does(scheme: Any, least: float, middle: float) -> None:
    classifier = TileClassifier(Model.from_bytes(tiny.make(network(), scheme=scheme)))
    correlations = []
    for index in range(12):
        tile = tiny.tissue(700 + index)
        for label in LABELS:
            edge, keras_ = classifier.explain(tile, label), explainer().explain(tile, label)
            correlations.append(correlation(edge.map, keras_.map))
            assert edge.result.stain_status == keras_.result.stain_status
            assert edge.result.tissue_fraction == keras_.result.tissue_fraction
            np.testing.assert_allclose(edge.result.probabilities, keras_.result.probabilities, atol=0.12)
    assert min(correlations) > least
    assert np.median(correlations) > middle
    assert np.mean(correlations) > 0.95


def test_the_class_predicted_is_explained_unless_another_is_named() -> None:
    explanation = explainer().explain(tiny.tissue(701))
    assert explanation.label == explanation.result.label
    assert explainer().explain(tiny.tissue(701), "3+").label == "3+"
    with pytest.raises(OptionError, match="expected one of"):
        explainer().explain(tiny.tissue(701), "4+")


def test_tiles_are_checked_and_filtered_as_the_edge_does() -> None:
    with pytest.raises(TileError, match="background"):
        explainer().explain(np.full((64, 64, 3), 245, np.uint8))
    with pytest.raises(TileError, match="expected 64x64 px"):
        explainer().explain(np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(TileError, match="um per pixel"):
        explainer().explain(Tile(tiny.tissue(701), mpp=0.25))


def other_networks() -> Iterator[tuple[str, Any, str]]:
    layers = keras.layers
    pixels = keras.Input((8, 8, 3))
    flat = keras.Model(pixels, layers.Dense(3)(layers.Flatten(name="features")(pixels)))
    yield "flat features", flat, "layer named `features`"
    plain = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(pixels))
    yield "no features", keras.Model(pixels, layers.Dense(3)(plain)), "layer named `features`"
    anything = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="features")(anything))
    yield "any size", keras.Model(anything, layers.Dense(3)(pooled)), "any tile size"
    yield "not on tiles", keras.Sequential([keras.Input((4,)), layers.Dense(3)]), "expected"
    yield "a picture out", keras.Model(pixels, layers.Conv2D(2, 3, name="features")(pixels)), "logits"
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="features")(pixels))
    yield "two classes", keras.Model(pixels, layers.Dense(2)(pooled)), "2 classes, expected 3"


@pytest.mark.parametrize(("model", "message"), [pytest.param(*o[1:], id=o[0]) for o in other_networks()])
def test_another_network_is_refused(model: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        NetworkExplainer(model)


def test_a_network_with_nan_weights_is_refused() -> None:
    model = tiny.build()
    weights = model.get_weights()
    weights[0][:] = np.nan
    model.set_weights(weights)
    with pytest.raises(ModelError, match="NaN or infinity"):
        NetworkExplainer(model)


def write_run(folder: Path, recipe: Recipe | None = RECIPE, slide: str = "slide-1") -> Path:
    folder.mkdir()
    network().save(folder / "model.keras")
    if recipe is not None:
        (folder / "recipe.json").write_bytes(dump_recipe(recipe))
        row = SplitRow("a.png", slide, "patient", "2+", "train")
        (folder / "split.csv").write_bytes(table_bytes(SplitRow, [row]))
    return folder


def test_a_run_explains_tiles_as_its_recipe_prepares_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", replace(RECIPE, stain=Stain("off"), max_background_share=0.9))
    for path in (run, run / "model.keras"):
        explanation = load_explainer(path).explain(Tile(tiny.tissue(701), mpp=0.5), "2+")
        assert explanation.result.stain_status is None
        features = gradcam().logits_and_features(tiny.tissue(701))[1]
        np.testing.assert_allclose(explanation.map, gradcam().class_map(features, 1), atol=1e-5)
    mostly_glass = tiny.tissue(701)
    mostly_glass[:45] = 245
    assert load_explainer(run).explain(mostly_glass)
    with pytest.raises(TileError, match="background"):
        explainer().explain(mostly_glass)


def test_a_network_without_its_recipe_is_prepared_for_as_the_paper_does(tmp_path: Path) -> None:
    loaded = load_explainer(write_run(tmp_path / "run", None) / "model.keras")
    assert loaded.explain(tiny.tissue(701)).result.stain_status == "ok"
    assert not loaded.demo


@pytest.mark.parametrize(("slide", "demo"), [("s0003-birch", True), ("slide-1", False), ("birch", False)])
def test_a_run_on_drawn_tissue_is_known_by_its_slides(tmp_path: Path, slide: str, demo: bool) -> None:
    assert load_explainer(write_run(tmp_path / "run", slide=slide)).demo is demo


def test_a_run_that_is_not_finished_or_not_there_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "model.keras").write_bytes(b"PK not an archive")
    with pytest.raises(ModelError, match="expected a Keras model"):
        load_explainer(run)
    (run / "model.keras").unlink()
    with pytest.raises(MissingInputError, match="finished training run"):
        load_explainer(run)
    with pytest.raises(MissingInputError):
        load_explainer(run / "model.keras")
