"""The tiles of a slide that a network is most and least sure of for one class, with their explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from her2edge.classifier import TileClassifier
from her2edge.errors import Her2EdgeError, OptionError, TileError
from her2edge.explain import Explanation, label_index
from her2edge.results.slide_run import Progress
from her2edge.results.slide_stain import find_slide_stain, with_slide_stain
from her2edge.slide import SlideReader
from her2edge.stain import StainMode
from her2edge.tile import Outcome, Pixels, UnreadableTile

TOP = 12


@dataclass(frozen=True, eq=False)
class ChosenTile:
    """One of the tiles. which: `most` or `least`, the tiles surest of the class or the others; rank: from 1.

    x, y: top-left corner, level-0 pixels. pixels: (tile_px, tile_px, 3) uint8 RGB. error: why there is no
    explanation, and no pixels where it cannot be read again; else None.
    """

    which: str
    rank: int
    x: float
    y: float
    pixels: Pixels | None = None
    explanation: Explanation | None = None
    error: Her2EdgeError | None = None


@dataclass(frozen=True, eq=False)
class SlideExplanation:
    """What is explained of a slide. label: the class; tissue: tiles that the network saw; failed: tiles that
    could not be used; chosen: the surest first, then the least sure, each read when it is asked for."""

    label: str
    tissue: int
    failed: int
    chosen: Iterator[ChosenTile]


def explain_slide(
    slide: SlideReader,
    classifier: TileClassifier,
    label: str | None = None,
    *,
    top: int = TOP,
    progress: Progress | None = None,
) -> SlideExplanation:
    """Classify an open slide, and explain `label` for the tiles of its highest and lowest probabilities.

    label: None: the class of the largest mean probability. top: at most this many tiles of each kind, 1 or
    more; no tile is in both. Of equal tiles the first in the grid comes first. Tiles that do not vote for
    the slide's answer are passed over, unless none does. progress: called with (tiles done, tiles in all).

    Raises OptionError, TileError where the slide has no tile that the network sees, and what
    `SlideReader.tiles` and `TileClassifier.stream` raise.
    """
    model = classifier.model
    if not (isinstance(top, int) and top >= 1):
        raise OptionError(f"found top={top!r}, expected a whole number of tiles, 1 or more")
    if label is not None:
        label_index(label, model.manifest.labels)
    if classifier.stain_mode is StainMode.SLIDE:
        classifier = with_slide_stain(classifier, find_slide_stain(slide, model), slide.name)
    results = []
    count = slide.tile_count(model)
    for result in classifier.stream(slide.tiles(model)):
        results.append(result)
        if progress is not None:
            progress(len(results), count)
    failed = sum(result.outcome is Outcome.FAILED for result in results)
    tissue = [n for n, result in enumerate(results) if result.probabilities is not None]
    if not tissue:
        raise TileError(
            f"{slide.name}: found no tile of tissue among {count} ({failed} failed), expected one or more: "
            "the network never sees background, so nothing can be explained"
        )
    voting = [n for n in tissue if results[n].pooled] or tissue
    every = ((n, results[n].probabilities) for n in voting)
    probabilities = {n: values for n, values in every if values is not None}
    if label is None:
        label = model.manifest.labels[int(np.argmax(np.sum(list(probabilities.values()), axis=0)))]
    index = label_index(label, model.manifest.labels)
    chances = {n: float(values[index]) for n, values in probabilities.items()}
    most = sorted(chances, key=lambda number: (-chances[number], number))[:top]
    least = sorted(chances.keys() - set(most), key=lambda number: (chances[number], number))[:top]
    return SlideExplanation(label, len(tissue), failed, _explained(slide, classifier, label, most, least))


def _explained(
    slide: SlideReader, classifier: TileClassifier, label: str, most: list[int], least: list[int]
) -> Iterator[ChosenTile]:
    places = [("most", n + 1) for n in range(len(most))] + [("least", n + 1) for n in range(len(least))]
    tiles = slide.tiles(classifier.model, numbers=most + least)
    for (which, rank), tile in zip(places, tiles, strict=True):
        at = (which, rank, tile.x, tile.y)
        if isinstance(tile, UnreadableTile):
            yield ChosenTile(*at, error=TileError(tile.error))
            continue
        try:
            yield ChosenTile(*at, tile.pixels, classifier.explain(tile, label))
        except Her2EdgeError as error:
            yield ChosenTile(*at, tile.pixels, error=error)
