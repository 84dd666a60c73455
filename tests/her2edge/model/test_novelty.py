"""Novelty: the formula, the member and what is wrong with one, and the same score through every door."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from model_v2 import TINY, tiny_v2
from repack import members, npz, packed
from shared_data import SHARED, needs

from her2edge import Model, Options, SlideReader, TileClassifier, answer_slide
from her2edge.errors import ModelError
from her2edge.model.novelty import MAX_BYTES, read_novelty
from her2edge.model.records import Output
from her2edge.runtime import installed, open_runtime
from her2edge.runtime.protocol import dequantize, mean_features, mean_stored
from her2edge_quantize.model_file.novelty import novelty_bytes
from her2edge_training.synthetic import make_cohort, make_tile

CHANNELS, LABELS, COMPONENTS = 6, 3, 2


def arrays(**changes):
    random = np.random.default_rng(4)
    whole = {
        "weights": random.integers(-127, 128, (COMPONENTS, CHANNELS)).astype(np.int8),
        "mix": random.uniform(-0.02, 0.02, (COMPONENTS, COMPONENTS)).astype(np.float32),
        "means": random.normal(size=(LABELS, COMPONENTS)).astype(np.float32),
        "variances": random.uniform(0.5, 2, COMPONENTS).astype(np.float32),
        "limit": np.array([3.5], np.float32),
    }
    return whole | changes


def read(**changes):
    return read_novelty(npz(**arrays(**changes)), CHANNELS, LABELS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9, 9, width=32), min_size=CHANNELS, max_size=CHANNELS))
def test_the_score_is_the_least_distance_to_a_class_over_the_limit(values):
    """Term by term, as the formula is written."""
    kept, distances = arrays(), []
    rough = [sum(float(w) * v for w, v in zip(row, values, strict=True)) for row in kept["weights"]]
    for place in kept["means"]:
        distance = 0.0
        for j in range(COMPONENTS):
            z = sum(float(kept["mix"][j][i]) * rough[i] for i in range(COMPONENTS))
            distance += (z - float(place[j])) ** 2 / float(kept["variances"][j])
        distances.append(distance)
    assert read().score(np.array(values, np.float32)) == pytest.approx(min(distances) / 3.5, rel=1e-9)


def test_features_that_are_no_numbers_have_no_score():
    for value in (np.nan, np.inf):
        with pytest.raises(ModelError, match="finite"):
            read().score(np.full(CHANNELS, value, np.float32))


HOSTILE = {
    "of another network": {"weights": np.zeros((COMPONENTS, CHANNELS + 1), np.int8)},
    "of another component": {"mix": np.ones((COMPONENTS, COMPONENTS + 1), np.float32)},
    "of other labels": {"means": np.zeros((LABELS - 1, COMPONENTS), np.float32)},
    "of no component": {
        "weights": np.zeros((0, CHANNELS), np.int8),
        "mix": np.zeros((0, 0), np.float32),
        "means": np.zeros((LABELS, 0), np.float32),
        "variances": np.zeros(0, np.float32),
    },
    "float weights": {"weights": np.zeros((COMPONENTS, CHANNELS), np.float32)},
    "double variances": {"variances": np.ones(COMPONENTS)},
    "one row for all": {"mix": np.ones(COMPONENTS, np.float32)},
    "a limit of no number": {"limit": np.array([np.nan], np.float32)},
    "a limit of 0": {"limit": np.zeros(1, np.float32)},
    "an endless limit": {"limit": np.array([np.inf], np.float32)},
    "a limit that every tile exceeds": {"limit": np.array([1e-30], np.float32)},
    "a limit that no tile exceeds": {"limit": np.array([1e30], np.float32)},
    "two limits": {"limit": np.ones(2, np.float32)},
    "a variance of 0": {"variances": np.array([0, 1], np.float32)},
    "a negative variance": {"variances": np.array([-1, 1], np.float32)},
    "a variance of no number": {"variances": np.array([np.nan, 1], np.float32)},
    "a place of no number": {"means": np.full((LABELS, COMPONENTS), np.nan, np.float32)},
    "a mix of no number": {"mix": np.full((COMPONENTS, COMPONENTS), np.inf, np.float32)},
    "objects": {"weights": np.array([{}], object)},
    "big": {"more": np.zeros(MAX_BYTES, np.uint8)},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_member_with_wrong_insides_is_refused_in_one_line(changes):
    with pytest.raises(ModelError) as refused:
        read(**changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["weights", "mix", "means", "variances", "limit"])
def test_a_member_without_one_of_its_arrays_is_refused(name):
    whole = arrays()
    del whole[name]
    with pytest.raises(ModelError, match=name):
        read_novelty(npz(**whole), CHANNELS, LABELS)


def test_no_model_is_made_of_a_file_with_such_a_member():
    parts, other = members(TINY[3].read_bytes()), members(TINY[2].read_bytes())
    flatbuffer, own = Model.load(TINY[3]).flatbuffer, parts["novelty.npz"]
    assert Model.from_bytes(packed(parts, flatbuffer)).novelty is not None
    for wrong in (npz(**arrays()), b"PK", own[:-30], other["novelty.npz"]):
        with pytest.raises(ModelError, match="novelty"):
            Model.from_bytes(packed(parts | {"novelty.npz": wrong}, flatbuffer))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_the_mean_of_stored_integers_is_that_of_the_numbers_and_both_ways_give_the_same_bits(dtype):
    random = np.random.default_rng(8)
    if dtype == "float32":
        stored, scale, zero = random.normal(size=(5, 7, 12)).astype(np.float32), 0.0, 0
    else:
        info = np.iinfo(dtype)
        stored = random.integers(info.min, info.max, (5, 7, 12), endpoint=True).astype(dtype)
        scale, zero = float(np.float32(0.0897)), int(random.integers(info.min, info.max))
    output = Output(shape=(1, 5, 7, 12), dtype=dtype, scale=scale, zero_point=zero)
    numbers = dequantize(stored, output)
    mean = mean_stored(stored, output)
    assert mean.shape == (12,)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, numbers.astype(np.float64).mean(axis=(0, 1)), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(mean_features(numbers, output), mean)


@pytest.mark.parametrize("name", installed())
def test_one_invoke_gives_the_logits_and_the_mean_of_the_map_on_every_runtime(name):
    model = tiny_v2()
    runtime = open_runtime(name, model, 1)
    for pixels in model.golden.tiles:
        logits, mean = runtime.logits_and_mean(pixels)
        np.testing.assert_array_equal(logits, runtime.logits(pixels))
        np.testing.assert_array_equal(mean, mean_features(runtime.features(pixels), model.manifest.features))


@pytest.mark.parametrize("interpreters", [1, 2])
def test_every_door_gives_a_tile_the_same_novelty_and_glass_none(interpreters):
    classifier = TileClassifier(tiny_v2(), Options(threads=1, interpreters=interpreters))
    tiles = tiny.tissue(9)
    streamed = [result.novelty for result in classifier.stream(tiles)]
    assert streamed == [classifier.classify(tile).novelty for tile in tiles]
    assert streamed == [classifier.explain(tile).result.novelty for tile in tiles]
    with classifier.feed() as feed:
        tickets = [feed.submit(tile) for tile in tiles]
        assert streamed == [ticket.result().novelty for ticket in tickets]
    assert all(score is not None and 0 < score < 10 for score in streamed)
    assert classifier.classify(tiny.glass()).novelty is None


def test_a_model_without_the_member_gives_no_novelty():
    result = TileClassifier(Model.load(tiny.INT8)).classify(tiny.tissue(1)[0])
    assert result.label is not None
    assert result.novelty is None


def test_noise_is_far_from_tissue():
    noise = np.random.default_rng(0).integers(0, 120, (tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8)
    assert TileClassifier(tiny_v2(), Options(stain="off")).classify(noise).novelty > 3


def test_the_demos_member_is_small_and_lets_other_synthetic_slides_through():
    """In short; benchmarks/novelty.py has 32 whole slides."""
    model = Model.demo()
    assert len(novelty_bytes(model.novelty)) < 32_000
    classifier = TileClassifier(model, Options(self_test=False))
    tiles = [make_tile(slide, 0, model.tile_px, model.mpp).pixels for slide in make_cohort(6, seed=9021)]
    scores = [classifier.classify(pixels).novelty for pixels in tiles]
    assert sum(score > 1 for score in scores) <= 2


@pytest.mark.parametrize(
    ("slide", "mpp"),
    [
        pytest.param("cmu-1-small-region.svs", None, marks=needs("wsi/cmu-1-small-region.svs")),
        pytest.param("tcga-cr-7395-01a-01-ts1.svs", 0.25, marks=needs("wsi/tcga-cr-7395-01a-01-ts1.svs")),
    ],
)
def test_tissue_of_other_organs_is_far_from_what_the_demo_knows(slide, mpp):
    model = Model.demo()
    classifier = TileClassifier(model, Options(self_test=False))
    with SlideReader(SHARED / "wsi" / slide, mpp=mpp) as reader:
        results = [classifier.classify(tile) for tile in islice(reader.tiles(model), 0, None, 4)]
    whole = [result for result in results if result.novelty is not None and result.tissue_fraction > 0.7]
    scores = [result.novelty for result in whole]
    assert len(scores) >= 4
    assert sum(score > 1 for score in scores) > len(scores) / 2, scores
    answer = answer_slide(results, model, min_tissue_tiles=1)  # every fourth tile: few are left to vote
    assert (answer.status, answer.labels) == ("not_assessable", ())
    assert "far_from_training" in [reason.code for reason in answer.reasons]
