"""Which tiles are trained on: of the recipe's scale, with tissue enough, readable and large enough."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from her2edge.errors import Her2EdgeError, TileError
from her2edge.ordered import in_order
from her2edge.tables import defused
from her2edge_training.cohort.dataset import check_tile
from her2edge_training.cohort.tile_list import TileListError, TileRecord
from her2edge_training.recipe import Recipe

_THREADS = 8  # waiting for disks, hashing and decoding outside the GIL
_SCALE_TOLERANCE = 0.05  # share by which a tile's um per pixel may differ from the recipe's


def usable(records: tuple[TileRecord, ...], recipe: Recipe) -> tuple[tuple[TileRecord, ...], int]:
    """Records with tissue enough, and how many had not; raises TileError for tiles of another scale."""
    for record in records:
        if abs(record.mpp / recipe.mpp - 1) > _SCALE_TOLERANCE:
            raise TileError(
                f"tile {record.tile} has {record.mpp} um per pixel, the recipe expects "
                f"{recipe.mpp}: make the tiles at that scale, or a recipe for this one"
            )
    kept = tuple(r for r in records if not _is_background(r, recipe.max_background_share))
    if not kept:
        raise TileListError(f"all {len(records)} tiles are background: found no tissue to learn from")
    return kept, len(records) - len(kept)


def _is_background(record: TileRecord, share: float) -> bool:
    return record.tissue_fraction is not None and 1 - record.tissue_fraction >= share


@dataclass(frozen=True)
class Unreadable:
    """One tile and the reason."""

    tile: str
    reason: str


def leave_out_unreadable(
    records: Sequence[TileRecord], recipe: Recipe
) -> tuple[tuple[TileRecord, ...], tuple[Unreadable, ...]]:
    """The records that can be read and are large enough, and the others; every file is decoded once.

    Raises TileError where the others are more than the recipe's share of all: then something is wrong with
    the disk or the manifest, and what is left may be another cohort. TileListError where a class has no tile.
    """

    def problem(record: TileRecord) -> Unreadable | None:
        try:
            check_tile(record, recipe.tile_px)
        except Her2EdgeError as error:
            return Unreadable(record.tile, str(error))
        return None

    found = list(in_order(problem, records, _THREADS))
    bad = tuple(one for one in found if one is not None)
    if len(bad) > recipe.max_unreadable_share * len(records):
        raise TileError(
            f"found {len(bad)} of {len(records)} tiles that cannot be read (first: {bad[0].reason}), "
            f"expected at most {100 * recipe.max_unreadable_share:g} %: make them again, or raise the "
            "recipe's max_unreadable_share"
        )
    good = tuple(r for r, one in zip(records, found, strict=True) if one is None)
    missing = [label for label in recipe.labels if label not in {record.label for record in good}]
    if missing:
        raise TileListError(
            f"found no tile of class {', '.join(missing)} to train on, expected some of each of "
            f"{', '.join(recipe.labels)}: add slides of that class, or use a recipe of other labels"
        )
    return good, bad


def unreadable_csv(tiles: Sequence[Unreadable]) -> bytes:
    """RUN/unreadable.csv: tile, reason."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("tile", "reason"))
    writer.writerows((defused(one.tile), defused(one.reason)) for one in tiles)
    return text.getvalue().encode()
