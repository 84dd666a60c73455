"""Tiles of the gate as a network reads them: from their files, or from slides at their places."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2edge.cohort import CohortSlide
from her2edge.errors import SlideReadError
from her2edge.slide import SlideReader, TileSize
from her2edge.tile import Pixels, Tile, UnreadableTile
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore, centre_crop
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SlideTile(TileRecord):
    """A tile that is no file of its own. folder: the slide's path; sha256: of its fingerprint and place.

    level0_mpp: um per pixel of level 0. place: (column, row) in the grid of the recipe's tiles.
    """

    level0_mpp: float | None
    place: tuple[int, int]

    @classmethod
    def of(
        cls, slide: CohortSlide, reader: SlideReader, tile: Tile, place: tuple[int, int], recipe: Recipe
    ) -> SlideTile:
        """Of a tile that was read."""
        where = f"{reader.fingerprint}:{recipe.tile_px}:{recipe.mpp!r}:{reader.mpp!r}:{place[0]},{place[1]}"
        return cls(
            tile=f"{slide.name} at {tile.x:g},{tile.y:g}",
            folder=slide.path,
            slide=slide.name.strip(),
            patient=slide.patient.strip(),
            site=slide.site.strip(),
            label="",
            x=tile.x,
            y=tile.y,
            mpp=recipe.mpp,
            tissue_fraction=None,
            sha256=hashlib.sha256(where.encode()).hexdigest(),
            level0_mpp=reader.mpp,
            place=place,
        )


def tile_size(recipe: Recipe) -> TileSize:
    """Of the grid of the recipe's tiles."""
    return TileSize(recipe.tile_px, recipe.mpp)


class GateStore(TileStore):
    """Reads and normalises tiles one by one, for one thread; keeps one slide open. A context manager."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(stain_normalizer(recipe.stain), memory_mib=0)
        self._size = tile_size(recipe)
        self._slide: tuple[Path, SlideReader] | None = None

    def __enter__(self) -> GateStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, record: TileRecord) -> Pixels:
        """As TileStore; raises SlideReadError too, where a slide has become another or cannot be decoded."""
        if not isinstance(record, SlideTile):
            return super().read(record)
        tile = next(self._open(record).tiles(self._size, [record.place]))
        if isinstance(tile, UnreadableTile):
            raise SlideReadError(f"{record.tile}: can no longer be read ({tile.error}): run again")
        return tile.pixels if self._normalize is None else self._normalize(tile.pixels)

    def _open(self, record: SlideTile) -> SlideReader:
        if self._slide is None or self._slide[0] != record.folder:
            self._close()
            self._slide = record.folder, SlideReader(record.folder, mpp=record.level0_mpp)
        return self._slide[1]

    def _close(self) -> None:
        if self._slide is not None:
            self._slide[1].close()
            self._slide = None


def gate_inputs(records: Sequence[TileRecord], recipe: Recipe) -> Iterator[Pixels]:
    """(tile_px, tile_px, 3) uint8 RGB network inputs, as `store.network_inputs`."""
    with GateStore(recipe) as store:
        for record in records:
            yield centre_crop(record, store.read(record), recipe.tile_px)
