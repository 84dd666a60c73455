"""Which tiles vote for the slide answer, and that nothing but the tile, the model and a fit has a say."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny
from small_slide import draw_slide

from her2edge import Model, Options, Outcome, Tile, TileClassifier, TileResult, classify_slide
from her2edge.prepare import votes
from her2edge.quality import KEEPS_OUT, Code
from her2edge.stain.profiles import MACENKO
from her2edge.tile import Seconds

PIXELS = tiny.tissue(1)[0].pixels


def spoiled() -> list[Tile]:
    """Tissue, and tiles of the same size that show none, or not as a scanner should."""
    rng, size = np.random.default_rng(5), tiny.SIZE
    pictures = [
        PIXELS,
        255 - PIXELS,
        np.zeros_like(PIXELS),
        np.full_like(PIXELS, 120),
        rng.integers(0, 170, PIXELS.shape, dtype=np.uint8),
        cv2.GaussianBlur(PIXELS, (0, 0), 3),
        np.hstack([PIXELS[:, : size // 2], np.full((size, size - size // 2, 3), 250, np.uint8)]),
        tiny.glass(),
    ]
    return [Tile(picture, x=float(i * size), slide="row") for i, picture in enumerate(pictures)]


def judged(result: TileResult) -> tuple[Any, ...]:
    """What is said of the picture, whatever the network says."""
    return result.outcome, result.tissue_fraction, result.glass_fraction, result.background, result.quality


def whole(result: TileResult) -> tuple[Any, ...]:
    """All of a result but its times."""
    chances = None if result.probabilities is None else result.probabilities.tobytes()
    return chances, repr(dataclasses.replace(result, probabilities=None, seconds=Seconds()))


def classified(**fields: Any) -> TileResult:
    return TileResult("s", 0.0, 0.0, (1.0, 1.0), Outcome.CLASSIFIED, **fields)


@pytest.mark.parametrize(
    ("fields", "novelty", "voting"),
    [
        ({}, None, True),
        ({}, 0.5, True),
        ({}, 1.0, True),
        ({}, 1.001, False),
        ({"quality": ("compressed",)}, 0.5, True),
        *[({"quality": (code.value, "compressed")}, 0.5, False) for code in KEEPS_OUT],
        ({"stain_status": "ok", "stain_source": "tile"}, 0.5, True),
        ({"stain_status": "angle", "stain_source": "none"}, 0.5, False),
        ({"stain_status": "angle", "stain_source": "given"}, 0.5, True),
    ],
)
def test_a_tile_votes_where_its_picture_its_stains_and_its_tissue_are_usable(
    fields: dict[str, Any], novelty: float | None, voting: bool
) -> None:
    assert votes(classified(**fields), novelty) is voting


def test_all_codes_but_compressed_keep_a_tile_out() -> None:
    assert set(Code) - set(KEEPS_OUT) == {Code.COMPRESSED}


@pytest.fixture(scope="module")
def classifier() -> TileClassifier:
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


def test_all_doors_say_the_same_of_a_tile_whatever_came_before(classifier: TileClassifier) -> None:
    tiles = [*spoiled(), *tiny.tissue(6, 20)]  # a feed answers a place once
    alone = [whole(classifier.classify(tile)) for tile in tiles]
    assert [whole(result) for result in classifier.stream(tiles)] == alone
    assert [whole(result) for result in classifier.stream(tiles[::-1])] == alone[::-1]
    told: list[TileResult] = []
    with classifier.feed(told.append) as feed:
        for tile in tiles:
            feed.submit(tile)
    assert [whole(result) for result in told] == alone


def test_the_stain_mode_changes_no_code(classifier: TileClassifier) -> None:
    tiles = [*spoiled(), *tiny.tissue(9)]
    results = {
        mode: list(classifier.with_stain(stain).stream(tiles))
        for mode, stain in {"per_tile": "per_tile", "off": "off", "given": MACENKO}.items()
    }
    said = {mode: [judged(result) for result in those] for mode, those in results.items()}
    assert said["off"] == said["per_tile"] == said["given"]
    assert len({result.quality for result in results["off"]}) > 2
    assert not any(result.pooled for result in results["off"][1:5]), "inverted, black, flat, noise"


def test_a_slides_own_fit_changes_no_code_either(tmp_path: Path, classifier: TileClassifier) -> None:
    slide = draw_slide(tmp_path / "slide.png")
    columns = ("outcome", "tissue_fraction", "glass_fraction", "background", "quality")
    said = {}
    for mode in ("per_tile", "slide", "off"):
        run = classify_slide(slide, tmp_path / mode, classifier, mpp=tiny.MPP, stain=mode)
        with (run.folder / "tiles.csv").open(newline="") as file:
            said[mode] = [[row[name] for name in columns] for row in csv.DictReader(file)]
    assert said["slide"] == said["off"] == said["per_tile"]


def test_a_background_tile_says_what_it_shows_and_does_not_vote(classifier: TileClassifier) -> None:
    result = classifier.classify(tiny.glass())
    assert (result.outcome, result.background, result.glass_fraction) == ("background", "glass", 1.0)
    assert (result.quality, result.novelty, result.pooled) == ((), None, False)
