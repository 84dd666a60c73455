"""One result per tile, in order, the same through every door."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from engines import with_network

from her2edge import MacenkoNormalizer, Model, Options, Outcome, Tile, TileClassifier
from her2edge.classifier import READ_AHEAD
from her2edge.errors import InferenceError, OptionError, StainError, TileError
from her2edge.probability import probabilities
from her2edge.runtime import open_runtime
from her2edge.slide import UnreadableTile


@pytest.fixture(scope="module")
def model():
    return Model.load(tiny.INT8)


@pytest.fixture(scope="module")
def classifier(model):
    return TileClassifier(model, Options(threads=1))


def same(a, b):
    np.testing.assert_array_equal(a.probabilities, b.probabilities)
    for name in (
        "outcome", "label", "confidence", "tissue_fraction", "stain_status", "glass_fraction", "background",
        "quality", "novelty", "pooled",
    ):  # fmt: skip
        assert getattr(a, name) == getattr(b, name), name


def test_classify_and_stream_give_the_same_numbers(classifier):
    tiles = tiny.tissue(12)
    for streamed, tile in zip(classifier.stream(tiles), tiles, strict=True):
        same(streamed, classifier.classify(tile))
        same(streamed, classifier.classify(tile.pixels))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_a_failed_tile_never_an_answer(classifier, bad):
    logits = np.array([0.0, bad, 0.0], np.float32)
    broken = with_network(classifier, logits=lambda _: logits)
    result = broken.classify(tiny.tissue(1)[0])
    assert (result.outcome, result.label, result.probabilities) == (Outcome.FAILED, None, None)
    assert "not finite numbers" in result.error


def test_the_tiles_are_not_all_of_one_class(classifier):
    assert len({result.label for result in classifier.stream(tiny.tissue(30))}) >= 2


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_number(model, classifier, threads):
    tiles = tiny.tissue(8)
    other = TileClassifier(model, Options(threads=threads))
    for a, b in zip(classifier.stream(tiles), other.stream(tiles), strict=True):
        same(a, b)


def test_results_are_what_the_parts_give_one_after_the_other(model, classifier):
    tile = tiny.tissue(1)[0]
    stained = MacenkoNormalizer(target=model.stain_target).normalize(tile.pixels)
    logits = open_runtime("litert", model, 1).logits(stained.pixels)
    result = classifier.classify(tile)
    np.testing.assert_array_equal(result.probabilities, probabilities(logits, model.manifest.temperature))
    assert result.stain_status == stained.status
    assert result.tissue_fraction == 1 - model.tissue_filter.background_share(tile.pixels)


def test_background_is_not_shown_to_the_network(classifier):
    classifier = with_network(classifier, logits=lambda _: pytest.fail("the network ran on glass"))
    result = classifier.classify(tiny.glass())
    assert result.outcome is Outcome.BACKGROUND
    assert (result.probabilities, result.label, result.tissue_fraction) == (None, None, 0.0)


def test_a_stream_is_lazy(classifier):
    asked = []

    def tiles():
        for tile in 10 * tiny.tissue(9):
            asked.append(tile.x)
            yield tile

    stream = classifier.stream(tiles())
    assert asked == []
    next(stream)
    stream.close()
    assert 1 <= len(asked) <= 2 + classifier.ahead + READ_AHEAD


def test_bad_tiles_cost_themselves_and_nothing_else(classifier):
    good = tiny.tissue(4)
    wrong = [
        np.zeros((tiny.SIZE, tiny.SIZE, 4), np.uint8),
        np.zeros((tiny.SIZE, tiny.SIZE), np.uint8),
        np.zeros((tiny.SIZE, tiny.SIZE, 3), np.float32),
        np.zeros((3, tiny.SIZE, tiny.SIZE), np.uint8),
        np.zeros((tiny.SIZE + 1, tiny.SIZE, 3), np.uint8),
        UnreadableTile("the region cannot be read", x=5.0, slide="row"),
        Tile(good[0].pixels, mpp=2 * tiny.MPP),
        Tile(good[0].pixels, valid=(0, 3)),
        Tile(good[0].pixels, valid=(5,)),
        Tile(good[0].pixels, valid=("a", "b")),
        Tile(good[0].pixels, mpp="0.5"),
        Tile([[1], [1, 2]]),
        "not a tile",
    ]
    mixed = [good[0], *wrong[:5], good[1], *wrong[5:], good[2], good[3]]
    results = list(classifier.stream(mixed))
    assert len(results) == len(mixed)
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    assert len(failed) == len(wrong)
    assert all(result.error and "\n" not in result.error for result in failed)
    kept = [result for result in results if result.outcome is not Outcome.FAILED]
    for result, alone in zip(kept, classifier.stream(good), strict=True):
        same(result, alone)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((tiny.SIZE, tiny.SIZE, 4), np.uint8), "RGBA"),
        (np.zeros((tiny.SIZE, tiny.SIZE), np.uint8), "greyscale"),
        (np.zeros((tiny.SIZE, tiny.SIZE, 3), np.int16), "int16"),
        (np.zeros((3, tiny.SIZE, tiny.SIZE), np.uint8), "moveaxis"),
        (np.zeros((7, tiny.SIZE, 3), np.uint8), f"{tiny.SIZE}x7 px, expected {tiny.SIZE}x{tiny.SIZE}"),
    ],
)
def test_classify_says_what_is_wrong_with_a_tile(classifier, pixels, said):
    with pytest.raises(TileError, match=said):
        classifier.classify(pixels)


def test_a_tile_of_another_scale_is_refused(classifier):
    with pytest.raises(TileError, match="um per pixel"):
        classifier.classify(Tile(tiny.glass(), mpp=1.3 * tiny.MPP))


def test_an_interpreter_that_fails_on_a_tile_costs_that_tile(classifier):
    tiles = tiny.tissue(3)
    second = MacenkoNormalizer(target=classifier.model.stain_target).normalize(tiles[1].pixels).pixels
    real = classifier.engine.runtime.logits

    def second_fails(pixels):
        if np.array_equal(pixels, second):
            raise InferenceError("LiteRT failed on a tile: injected")
        return real(pixels)

    failing = with_network(classifier, logits=second_fails)
    outcomes = [result.outcome for result in failing.stream(tiles)]
    assert outcomes == [Outcome.CLASSIFIED, Outcome.FAILED, Outcome.CLASSIFIED]


def test_stain_off_and_a_given_fit_change_what_the_network_sees(model, classifier):
    tile = tiny.tissue(1)[0]
    fit = MacenkoNormalizer().fit(tiny.tissue(3)[2].pixels)
    off = TileClassifier(model, Options(stain="off")).classify(tile)
    given = TileClassifier(model, Options(stain=fit)).classify(tile)
    assert (off.stain_status, off.stain_source) == (None, None)
    assert given.stain_source == "given"
    assert not np.array_equal(given.probabilities, classifier.classify(tile).probabilities)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"threads": 2.5},
        {"interpreters": 0},
        {"interpreters": "2"},
        {"stain": "reinhard"},
        {"stain": {}},
        {"stain": 3},
    ],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(OptionError, match="expected"):
        Options(**wrong)


def test_an_unknown_runtime_is_refused_with_the_known_ones(model):
    with pytest.raises(OptionError, match="litert"):
        TileClassifier(model, Options(runtime="tensorrt"))


def test_softmax_is_stable_and_divides_by_the_temperature():
    logits = np.array([1000.0, 1001.0, 999.0], np.float32)
    chances = probabilities(logits, 2.0)
    expected = np.exp([0, 0.5, -0.5]) / np.exp([0, 0.5, -0.5]).sum()
    np.testing.assert_allclose(chances, expected, rtol=1e-6)


def test_ties_take_the_first_label(classifier):
    classifier = with_network(classifier, logits=lambda _: np.zeros(3, np.float32))
    assert classifier.classify(tiny.tissue(1)[0]).label == "0/1+"


def test_int8_and_float32_agree_on_the_golden_tiles_as_packed():
    for path, tolerance in ((tiny.INT8, 0), (tiny.FP32, 1e-4)):
        model = Model.load(path)
        runtime = open_runtime("litert", model, 1)
        for pixels, logits in zip(model.golden.tiles, model.golden.logits, strict=True):
            np.testing.assert_allclose(runtime.logits(pixels), logits, atol=tolerance)


def test_the_feature_map_pooled_through_the_head_gives_the_logits():
    model = Model.load(tiny.FP32)
    runtime = open_runtime("litert", model, 1)
    pixels, head = model.golden.tiles[0], model.head
    pooled = runtime.features(pixels).mean(axis=(0, 1))
    by_hand = np.maximum(pooled @ head.w1 + head.b1, 0) @ head.w2 + head.b2
    np.testing.assert_allclose(runtime.logits(pixels), by_hand, atol=1e-4)


def test_astain_fit_with_nonsense_never_reaches_a_classifier():
    with pytest.raises(StainError):
        Options(stain=MacenkoNormalizer().fit(tiny.glass()))
