"""Which tiles are trained on: of the recipe's scale, with tissue enough, readable and large enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2edge.errors import Her2EdgeError, TileError
from her2edge.ordered import in_order
from her2edge.text import percent
from her2edge_training.cohort.store import Checked, TileStore
from her2edge_training.cohort.tile_list import TileListError, TileRecord
from her2edge_training.recipe import Recipe

_THREADS = 8  # waiting for disks, hashing and decoding outside the GIL
_SCALE_TOLERANCE = 0.05  # share by which a tile's um per pixel may differ from the recipe's


def usable(records: Sequence[TileRecord], recipe: Recipe) -> tuple[tuple[TileRecord, ...], int]:
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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A tile that is left out, and why."""

    tile: str
    reason: str


@dataclass(frozen=True)
class Screened:
    """good: records that can be read and are large enough; checked: their files; unreadable: the others."""

    good: tuple[TileRecord, ...]
    checked: tuple[Checked, ...]
    unreadable: tuple[Unreadable, ...]


def screen(
    records: Sequence[TileRecord],
    recipe: Recipe,
    store: TileStore,
    known: Mapping[str, Checked],
    *,
    labelled: bool = True,
) -> Screened:
    """Tell tiles that can be read from those that cannot: each is decoded once, into the store.

    known: by tile, what an earlier process of the run has checked and need not be decoded. labelled: False
    where a teacher is still to say labels, so that a class may lack tiles.
    Raises TileError where the unreadable are more than the recipe's share of all: then something is wrong
    with the disk or the tile list, and what is left may be another cohort. TileListError where a class has
    no tile.
    """

    def look(record: TileRecord) -> Checked | Unreadable:
        try:
            return store.check(record, recipe.tile_px, known.get(record.tile))
        except Her2EdgeError as error:
            return Unreadable(record.tile, str(error))

    answers = list(in_order(look, records, _THREADS))
    unreadable = tuple(answer for answer in answers if isinstance(answer, Unreadable))
    if len(unreadable) > recipe.max_unreadable_share * len(records):
        raise TileError(
            f"found {len(unreadable)} of {len(records)} tiles that cannot be read "
            f"(first: {unreadable[0].reason}), expected at most "
            f"{percent(recipe.max_unreadable_share, None)}: make them again, or raise the recipe's "
            "max_unreadable_share"
        )
    good = tuple(r for r, answer in zip(records, answers, strict=True) if isinstance(answer, Checked))
    if labelled:
        refuse_missing_class(good, recipe.labels)
    return Screened(good, tuple(answer for answer in answers if isinstance(answer, Checked)), unreadable)


def refuse_missing_class(records: Sequence[TileRecord], labels: Sequence[str]) -> None:
    """Raise TileListError where a label has no tile: a network would learn never to say it."""
    there = {record.label for record in records}
    missing = [label for label in labels if label not in there]
    if missing:
        raise TileListError(
            f"found no tile of class {', '.join(missing)} to train on, expected some of each of "
            f"{', '.join(labels)}: add slides of that class, or use a recipe of other labels"
        )
