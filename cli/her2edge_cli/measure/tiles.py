"""Tiles to measure with: of the user's slide or folder, else synthetic tissue written as PNG files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

from her2edge import Model, SlideReader, Tile
from her2edge.files import write_bytes
from her2edge.ordered import Deferred
from her2edge.slide import UnreadableTile, encode_png
from her2edge_training import synthetic

SYNTHETIC = "synthetic tissue, PNG files"
_SLIDES, _SEED = 9, 77


@dataclass(frozen=True, eq=False)
class Sample:
    """At most `count` tiles, spread over a slide or the first of a folder; read anew by each `tiles()`.

    passes: how often they are gone through, so that a small slide lasts.
    """

    name: str
    path: Path
    reader: SlideReader
    model: Model
    count: int
    passes: int = 1

    def tiles(self) -> Iterator[Tile | UnreadableTile]:
        """The same tiles in the same order, each decoded when it is asked for; a stream decodes several at a
        time, as it does those of a slide."""
        passes = [self._once() for _ in range(self.passes)]
        return Deferred(chain.from_iterable(one.calls for one in passes), passes[0].at_once)

    def _once(self) -> Deferred[Tile | UnreadableTile]:
        if self.reader.is_folder:
            first = range(min(self.count, self.reader.tile_count(self.model)))
            read = self.reader.tiles(self.model, numbers=first)
        else:
            read = self.reader.tiles(self.model, self.reader.grid(self.model).spread(self.count))
        return cast(Deferred[Tile | UnreadableTile], read)


@contextmanager
def sample_of(
    slide: Path | None, mpp: float | None, model: Model, count: int, passes: int = 1
) -> Iterator[Sample]:
    """`count` tiles of the slide; None: made now. Raises what SlideReader raises."""
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        if slide is None:
            write_synthetic(Path(folder), model, count)
        with SlideReader(slide or folder, mpp=mpp) as reader:
            name = reader.name if slide else SYNTHETIC
            yield Sample(name, slide or Path(folder), reader, model, count, passes)


def write_synthetic(folder: Path, model: Model, count: int) -> None:
    """So many tiles of the model's size and scale, of slides of all classes, as PNG files."""
    cohort = synthetic.make_cohort(_SLIDES, seed=_SEED)
    for i in range(count):
        tile = synthetic.make_tile(cohort[i % _SLIDES], i, model.tile_px, model.mpp)
        write_bytes(folder / f"{i:04}.png", encode_png(tile.pixels))
