"""A tile's pixels are checked once on each way into the product, where the caller can be told."""

import sys
import threading
from collections.abc import Iterator

import pytest
import tiny

from her2edge import MacenkoNormalizer, Model, Tile, TileClassifier, TissueFilter
from her2edge.results import fit_slide
from her2edge.stain import StainAccumulator
from her2edge.tile import check_pixels, check_valid


class Calls:
    """How often functions are called inside the `with`, also in threads that are started there."""

    def __init__(self, *functions) -> None:
        self._codes = {function.__code__: function.__name__ for function in functions}
        self._seen: list[str] = []

    def __enter__(self) -> "Calls":
        self._before = sys.getprofile()
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(self._before)
        threading.setprofile(None)

    def _note(self, frame, event, _argument) -> None:
        if event == "call" and frame.f_code in self._codes:
            self._seen.append(self._codes[frame.f_code])

    def __getitem__(self, function) -> int:
        return self._seen.count(function.__name__)


@pytest.fixture(scope="module")
def classifier() -> Iterator[TileClassifier]:
    return TileClassifier(Model.load(tiny.INT8))


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    return tiny.tissue(4)


def assert_once(calls: Calls, tiles: int) -> None:
    assert calls[check_pixels] == tiles
    assert calls[check_valid] == tiles


def test_classify_checks_a_tile_once(classifier, tiles):
    with Calls(check_pixels, check_valid) as calls:
        assert classifier.classify(tiles[0]).label is not None
    assert_once(calls, 1)


def test_stream_checks_a_tile_once(classifier, tiles):
    with Calls(check_pixels, check_valid) as calls:
        assert len(list(classifier.stream(tiles))) == len(tiles)
    assert_once(calls, len(tiles))


def test_a_feed_checks_a_tile_once_when_it_is_submitted(classifier, tiles):
    with Calls(check_pixels, check_valid) as calls:
        with classifier.feed() as feed:
            for number, tile in enumerate(tiles, 1):
                feed.submit(tile)
                assert_once(calls, number)
        assert feed.ledger.ended == len(tiles)
    assert_once(calls, len(tiles))


def test_explain_checks_a_tile_once(classifier, tiles):
    with Calls(check_pixels, check_valid) as calls:
        classifier.explain(tiles[0])
    assert_once(calls, 1)


@pytest.mark.parametrize(
    "use",
    [
        lambda tile: TissueFilter().is_background(tile.pixels),
        lambda tile: TissueFilter().histogram(tile.pixels),
        lambda tile: MacenkoNormalizer().normalize(tile.pixels),
        lambda tile: MacenkoNormalizer().fit(tile.pixels),
        lambda tile: StainAccumulator().update(tile.pixels),
    ],
    ids=["is_background", "histogram", "normalize", "fit", "update"],
)
def test_a_public_function_checks_its_array_once(use, tiles):
    with Calls(check_pixels, check_valid) as calls:
        use(tiles[0])
    assert_once(calls, 1)


def test_a_slide_fit_checks_each_sampled_tile_once(tiles):
    class Sampled:
        name = "s"

        def sample(self, tile_px: int, at_most: int) -> list[Tile]:
            return tiles

    with Calls(check_pixels, check_valid) as calls:
        fit_slide(Sampled())
    assert_once(calls, len(tiles))
