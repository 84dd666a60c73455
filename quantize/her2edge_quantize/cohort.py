"""The run's own tile list, read once; which of its tiles are in a part; what the network sees of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import ModelError
from her2edge.tile import LABELS, Pixels
from her2edge_quantize.run_folder import Run
from her2edge_training.cohort.tile_list import TileListError, TileRecord, read_tile_list
from her2edge_training.recipe import Recipe

Records = tuple[TileRecord, ...]


@dataclass(frozen=True)
class TileList:
    """A list of labelled tiles. sha256: hex, of the file's bytes."""

    path: Path
    sha256: str
    records: Records

    @classmethod
    def read(cls, path: Path, labels: tuple[str, ...] = LABELS) -> TileList:
        """Raises MissingInputError, TileListError."""
        records = read_tile_list(path, labels)
        return cls(path, hashlib.sha256(path.read_bytes()).hexdigest(), records)


ReadTiles = Callable[[Path, tuple[str, ...]], TileList]


def select(run: Run, tiles: TileList, part: str) -> Records:
    """Tiles of one part of the run's own split, in its order.

    Raises TileListError for another list than the one the run was trained with: it would bring tiles whose
    part nobody knows. ModelError where the run's split names another label.
    """
    if tiles.sha256 != run.environment.manifest_sha256:
        raise TileListError(
            f"{tiles.path.name} is not the tile list this run was trained with (its SHA-256 differs): pass "
            "the same file, so that training tiles and held-out tiles can be told apart"
        )
    records = {record.tile: record for record in tiles.records}
    for tile, (label, _part) in run.parts.items():
        if tile not in records or records[tile].label != label:
            raise ModelError(f"split.csv and {tiles.path.name} disagree on tile {tile!r}: train again")
    return tuple(records[tile] for tile, (_label, own) in run.parts.items() if own == part)


def network_inputs(records: Records, recipe: Recipe) -> Iterator[Pixels]:
    """(tile_px, tile_px, 3) uint8 RGB, each tile as training evaluates it: SDK-normalised, centre crop."""
    from her2edge_training.cohort.dataset import TileSequence, TileStore
    from her2edge_training.cohort.stains import stain_normalizer

    store = TileStore(stain_normalizer(recipe.stain), memory_mib=0)
    sequence = TileSequence(records, recipe.labels, store, tile_px=recipe.tile_px, batch=1)
    for index in range(len(records)):
        yield sequence[index][0][0]
