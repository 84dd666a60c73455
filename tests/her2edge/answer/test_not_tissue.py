"""What is no tissue does not vote: a slide's answer with and without 30 % of such tiles (reliability 35)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import artefacts
import numpy as np
import pytest

from her2edge import Model, Options, SlideAnswer, Tile, TileClassifier, TileResult, answer_slide
from her2edge.tile import Pixels
from her2edge_training import synthetic

TISSUE, OTHERS, DRAWN = 21, 9, 3  # tiles; 9 of 30 are 30 %, of each kind three are drawn
KINDS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "black": lambda tile, _: np.zeros_like(tile),
    "ink": lambda tile, rng: np.clip(
        rng.normal((30, 60, 200), 4, tile.shape), 0, 255
    ).astype(np.uint8),
    "flat colour": lambda tile, _: np.full_like(tile, (150, 80, 160)),
    "noise": lambda tile, rng: rng.integers(0, 170, tile.shape, dtype=np.uint8),
    "inverted": lambda tile, _: 255 - tile,
    "blurred": lambda tile, rng: artefacts.blurred(tile, rng.uniform(2, 30)),
    "blurred, then noise": lambda tile, rng: artefacts.noisy(
        artefacts.blurred(tile, rng.uniform(4, 30)), rng.uniform(0.5, 4), int(rng.integers(99))
    ),
    "blurred, then JPEG": lambda tile, rng: artefacts.stored(
        artefacts.blurred(tile, rng.uniform(4, 30)), int(rng.integers(40, 90))
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.demo()


@pytest.fixture(scope="module")
def classifier(model: Model) -> TileClassifier:
    return TileClassifier(model, Options(threads=2, self_test=False))


def pictures(model: Model, label: str, count: int) -> list[Pixels]:
    slide = synthetic.make_slide_model(label, synthetic.SITES[0], 20_000_003)
    return [synthetic.make_tile(slide, i, model.tile_px, model.mpp).pixels for i in range(count)]


@pytest.fixture(scope="module")
def tissue(classifier: TileClassifier) -> list[TileResult]:
    """A slide's results in seven columns; three of each kind of tile that is none go around them."""
    drawn = pictures(classifier.model, "2+", TISSUE)
    return placed(list(classifier.stream([Tile(one) for one in drawn])), 0)


def placed(results: list[TileResult], first: int) -> list[TileResult]:
    side = 512.0
    return [
        dataclasses.replace(one, x=side * ((first + i) % 6), y=side * ((first + i) // 6), span=(side, side))
        for i, one in enumerate(results)
    ]


def answer_of(results: list[TileResult], model: Model) -> SlideAnswer:
    return answer_slide(results, model)


def test_clean_tissue_votes(tissue: list[TileResult], model: Model) -> None:
    answer = answer_of(tissue, model)
    assert answer.tiles.pooled >= 0.95 * TISSUE
    assert len(answer.labels) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_tissue_neither_votes_nor_changes_the_label(
    classifier: TileClassifier, tissue: list[TileResult], kind: str
) -> None:
    rng = np.random.default_rng(8)
    of = pictures(classifier.model, "3+", DRAWN)
    drawn = list(classifier.stream([Tile(KINDS[kind](one, rng)) for one in of]))
    assert not any(result.pooled for result in drawn)
    mixed = [*tissue, *placed(drawn * (OTHERS // DRAWN), TISSUE)]
    alone, answer = answer_of(tissue, classifier.model), answer_of(mixed, classifier.model)
    assert answer.labels == alone.labels
    assert answer.probabilities == alone.probabilities
    assert answer.tiles.pooled == alone.tiles.pooled


@pytest.mark.parametrize("kind", KINDS)
def test_a_slide_of_nothing_else_is_not_assessable_and_says_why(
    classifier: TileClassifier, kind: str
) -> None:
    rng = np.random.default_rng(9)
    of = pictures(classifier.model, "3+", DRAWN)
    drawn = list(classifier.stream([Tile(KINDS[kind](one, rng)) for one in of]))
    answer = answer_of(placed(drawn * 10, 0), classifier.model)
    assert (answer.status, answer.labels) == ("not_assessable", ())
    assert answer.reasons
