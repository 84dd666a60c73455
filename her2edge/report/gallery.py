"""Tiles of a slide as pictures, each beside what spoke for its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2edge.classifier import TileClassifier
from her2edge.errors import Her2EdgeError, SlideReadError
from her2edge.explain import Explanation
from her2edge.results.read_back import Results
from her2edge.slide import SlideReader, TileSize
from her2edge.tile import Pixels, Tile, TileResult, UnreadableTile

SAME = 0.03  # of a probability: as much as two runtimes may differ


@dataclass(frozen=True, eq=False)
class Shot:
    """A tile read again. number: its row in tiles.csv, from 0. pixels: (tile_px, tile_px, 3) uint8 RGB, those
    of the slide; None where they cannot be read. explanation: None where none was asked for or could be made.
    error: why something is missing, else None."""

    number: int
    pixels: Pixels | None = None
    explanation: Explanation | None = None
    error: str | None = None


def read_shots(
    slide: SlideReader,
    results: Results,
    wanted: Mapping[int, str | None],
    classifier: TileClassifier | None = None,
) -> Iterator[Shot]:
    """Tiles by their numbers; wanted: the class that is explained of each, None for none.

    Without a classifier none is. An explanation is left out where the model gives other probabilities than
    tiles.csv has: it would be of another computation. Raises what `SlideReader.tiles` raises for the whole
    slide.
    """
    for (number, label), tile in zip(wanted.items(), _tiles(slide, results, list(wanted)), strict=True):
        if isinstance(tile, UnreadableTile):
            yield Shot(number, error=tile.error)
        elif classifier is None or label is None:
            yield Shot(number, tile.pixels)
        else:
            yield _explained(number, tile, label, results.tiles[number], classifier)


def _explained(number: int, tile: Tile, label: str, kept: TileResult, classifier: TileClassifier) -> Shot:
    try:
        explanation = classifier.explain(tile, label)
    except Her2EdgeError as error:
        return Shot(number, tile.pixels, error=str(error))
    if _differs(explanation.result, kept):
        why = f"no map: {classifier.use} computes other probabilities than tiles.csv has"
        return Shot(number, tile.pixels, error=why)
    return Shot(number, tile.pixels, explanation)


def _tiles(slide: SlideReader, results: Results, numbers: Sequence[int]) -> Iterator[Tile | UnreadableTile]:
    """In that order; by their places where the slide has any, for not every place needs to have been read."""
    model, step = results.summary.model, results.summary.slide.step
    spec = TileSize(model.tile_px, model.mpp)
    if step is None:
        if slide.tile_count(spec) != len(results.tiles):
            raise SlideReadError(f"{slide.name}: the slide has another number of tiles than the results")
        yield from slide.tiles(spec, numbers=list(numbers))
        return
    chosen = (results.tiles[number] for number in numbers)
    yield from slide.tiles(spec, [(round(one.x / step), round(one.y / step)) for one in chosen])


def _differs(now: TileResult, kept: TileResult) -> bool:
    if now.probabilities is None or kept.probabilities is None:
        return True
    return bool(np.abs(now.probabilities - kept.probabilities).max() > SAME)
