"""A feed on a network whose pace the test sets, for tests."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from her2edge import Outcome, Tile, TileResult
from her2edge.errors import TileError
from her2edge.feed import FeedOptions, TileFeed
from her2edge.feed.state import State
from her2edge.prepare import CheckedTile, span_of
from her2edge.slide import UnreadableTile
from her2edge.tile import check_pixels

PATIENCE = 20.0  # seconds; a test that waits so long has failed


class Network:
    """Answers a tile when it is let: `go(n)` lets n tiles through; `begun` are those that came, in order."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.outcome = Outcome.CLASSIFIED
        self._leave = threading.Semaphore(0)

    def go(self, tiles: int = 1) -> None:
        self._leave.release(tiles)

    def __call__(self, tile: Tile | UnreadableTile) -> TileResult:
        self.begun.append(tile.x)
        assert self._leave.acquire(timeout=PATIENCE), "the test let no more tiles through"
        outcome = Outcome.FAILED if isinstance(tile, UnreadableTile) else self.outcome
        return TileResult(tile.slide, tile.x, tile.y, span_of(tile), outcome)


def feed_on(
    network: Any, on_result: Any = None, lanes: int = 1, state: type[State] = State, **options: Any
) -> TileFeed:
    return TileFeed(state(FeedOptions(**options), lanes), network, admit, on_result)


def admit(item: Any) -> CheckedTile | UnreadableTile:
    """Any tile with pixels, of whatever size."""
    if isinstance(item, UnreadableTile):
        return item
    tile = item if isinstance(item, Tile) else Tile(item)
    try:
        return CheckedTile(replace(tile, pixels=check_pixels(tile.pixels)))
    except TileError as error:
        return UnreadableTile(str(error), tile.x, tile.y, span_of(tile), tile.mpp, tile.slide)


def tile(x: int, slide: str = "row") -> Tile:
    return Tile(np.zeros((2, 2, 3), np.uint8), x=float(x), span=(2.0, 2.0), slide=slide)


def until(said: Any) -> None:
    """Wait until said() is true."""
    clock = threading.Event()
    for _ in range(10_000):
        if said():
            return
        clock.wait(0.002)
    raise AssertionError("it never came true")
