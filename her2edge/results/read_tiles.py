"""A slide's tiles into its journal: row by row, or in random order until the answer is settled."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.answer import RandomOrder, Settled, Settling
from her2edge.classifier import TileClassifier
from her2edge.results.journal import Journal
from her2edge.results.slide_run import Progress, Shares, SlideOptions
from her2edge.slide import GlassMap, SlideReader
from her2edge.slide.isolated import HungError
from her2edge.tile import Tile, TileResult, UnreadableTile

_log = logging.getLogger("her2edge")


@dataclass(frozen=True, eq=False)
class Work:
    """One slide, and what goes on with it.

    count: its tiles, as many as may be read. again: numbers in the journal of failed tiles, to be tried
    again. numbers: (n,) int64, the places of the grid that are to be read; None: all. progress: as in
    `classify_slide`. glass: places that are not decoded; None: every place is.
    """

    slide: SlideReader
    classifier: TileClassifier
    journal: Journal
    count: int
    again: Sequence[int]
    progress: Progress | None
    numbers: NDArray[np.int64] | None = None
    glass: GlassMap | None = None

    def tiles(
        self,
        places: Iterable[tuple[int, int]] | None = None,
        *,
        skip: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> Iterator[Tile | UnreadableTile]:
        """As `SlideReader.tiles`, without the glass."""
        spec = self.classifier.model
        return self.slide.tiles(spec, places, skip=skip, numbers=numbers, glass=self.glass)

    def advance(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, self.count)

    @contextlib.contextmanager
    def results(self, tiles: Iterable[Tile | UnreadableTile]) -> Iterator[Iterator[TileResult]]:
        """Of the tiles, in order; those read ahead are thrown away at the end of the block."""
        with contextlib.closing(self.classifier.stream(tiles)) as results:
            yield results

    def says_resuming(self, done: int) -> None:
        if done:
            _log.info("%s: resuming after tile %d of %d", self.slide.name, done, self.count)


def read_all(work: Work) -> None:
    """Classify, row by row, what the journal does not hold yet; or the failed tiles, where there are any."""
    journal = work.journal
    if work.again:
        _try_again(work, work.tiles(numbers=_places(work, work.again)))
        return
    done = journal.resumed
    work.says_resuming(done)
    work.advance(done)
    rest = None if work.numbers is None else _places(work, range(len(work.numbers)))
    with work.results(work.tiles(skip=done, numbers=rest)) as results:
        for result in results:
            journal.add(result)
            work.advance(len(journal))
    journal.commit()


def _places(work: Work, numbers: Sequence[int]) -> Sequence[int]:
    """Where tiles of these numbers in the journal lie."""
    places: Sequence[int] = numbers if work.numbers is None else work.numbers[np.asarray(numbers)].tolist()
    return places


def read_until_settled(work: Work, order: RandomOrder, options: SlideOptions) -> Settled:
    """Classify in random order; the journal ends at the tile that settles the answer, never after it.

    What the journal holds is taken first, so that an interrupted reading stops where one that was not
    interrupted does. Where failed tiles are other ones now it may stop earlier: what was read beyond goes.
    """
    assert options.settle is not None  # noqa: S101 - who has an order has a rule
    journal, model = work.journal, work.classifier.model
    done = len(journal) - len(work.again)
    if work.again:
        again = order.places[np.asarray(work.again)]
        _try_again(work, work.tiles(_columns_and_rows(again, order)))
    settling = Settling(
        options.settle,
        order,
        tuple(model.manifest.labels),
        min_tissue_tiles=options.min_tissue_tiles,
        limits=model.manifest.limits,
    )
    for result in journal:
        if settling.stopped:
            break
        settling.add(result)
    journal.cut(settling.seen)
    if not settling.stopped:
        if not work.again:
            work.says_resuming(done)
        _read_on(work, order, settling, options.shares)
    return settling.verdict()


def _read_on(work: Work, order: RandomOrder, settling: Settling, shares: Shares | None) -> None:
    rest = _columns_and_rows(order.places[settling.seen :], order)
    work.advance(settling.seen)
    with work.results(work.tiles(rest)) as results:
        for result in results:
            settling.add(result)
            work.journal.add(result)
            if shares is not None:
                shares(settling.shares)
            work.advance(settling.seen)
            if settling.stopped:
                break
    work.journal.commit()


def _columns_and_rows(places: Iterable[int], order: RandomOrder) -> Iterator[tuple[int, int]]:
    return ((int(place) % order.columns, int(place) // order.columns) for place in places)


def _try_again(work: Work, tiles: Iterable[Tile | UnreadableTile]) -> None:
    """Classify the failed tiles once more."""
    journal, again = work.journal, work.again
    done = len(journal) - len(again)
    _log.info("%s: trying %d failed tile(s) of %d again", work.slide.name, len(again), work.count)
    work.advance(done)
    with _hangs_again(work.slide), work.results(tiles) as results:
        for nth, result in enumerate(results):
            journal.replace(again[nth], result)
            work.advance(done + nth + 1)
    journal.commit()


@contextlib.contextmanager
def _hangs_again(slide: SlideReader) -> Iterator[None]:
    """Tiles that hang one after the other end a slide; where only failed ones are tried, they stay failed."""
    try:
        yield
    except HungError as error:
        _log.warning("%s: %s; the failed tiles that are left stay as they are", slide.name, error)


@dataclass(frozen=True, eq=False)
class InGridOrder:
    """A journal's results row by row, though they were read in random order; none is held.

    Iterated as often as one likes. Places that were not read are left out.
    """

    journal: Journal
    order: RandomOrder

    def __iter__(self) -> Iterator[TileResult]:
        numbers = np.argsort(self.order.places)  # by place, its number in the order
        for number in numbers[numbers < len(self.journal)]:
            yield self.journal.at(int(number))
