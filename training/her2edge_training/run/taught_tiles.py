"""Which tiles a teacher teaches on: its tissue, with its own answer where nobody said a label."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2edge.ordered import in_order
from her2edge.slide.images import decode_image
from her2edge_training.cohort.label_from import TEACHER
from her2edge_training.cohort.store import TileStore, centre_crop
from her2edge_training.cohort.tile_list import UNLABELLED, TileListError, TileRecord
from her2edge_training.recipe import Recipe, dump_recipe
from her2edge_training.run.epochs import Report
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.teacher import Teacher

_STEP = 256  # tiles between two looks at the disk: what a kill costs


@dataclass(frozen=True)
class TaughtTiles:
    """records: with a label each. unlabelled: how many of them have the teacher's. background: left out."""

    records: tuple[TileRecord, ...]
    unlabelled: int
    background: int


def taught_tiles(
    records: Sequence[TileRecord],
    recipe: Recipe,
    teacher: Teacher,
    store: TileStore,
    folder: NewRun,
    threads: int,
    say: Report,
) -> TaughtTiles:
    """Ask the teacher of tiles without a label, and its tissue rule of tiles whose tissue is not known.

    What it says is kept in the run's folder: a run that goes on asks for the rest. Raises TileListError where
    all tiles are background, and what reading tiles raises.
    """
    asked = [one for one in records if one.label == UNLABELLED or one.tissue_fraction is None]
    key = _key(asked, recipe, teacher)
    rows = folder.taught(key, len(recipe.labels))
    done = 0 if rows is None else len(rows)
    if asked:
        say(
            f"the teacher reads {len(asked)} tiles without a label or tissue share"
            + f", {done} before" * bool(done)
        )
    answer = teacher.open(recipe.tile_px, threads) if done < len(asked) else None

    def look(record: TileRecord) -> NDArray[np.float32]:
        share = _background(record, teacher)
        row = np.full(1 + len(recipe.labels), np.nan, np.float32)
        row[0] = share
        if share < teacher.tissue.share and record.label == UNLABELLED and answer is not None:
            row[1:] = answer(centre_crop(record, store.read(record), recipe.tile_px)[np.newaxis])[0]
        return row

    made = [] if rows is None else list(rows)
    for start in range(done, len(asked), _STEP):
        made += in_order(look, asked[start : start + _STEP], threads)
        folder.keep_taught(key, np.stack(made))
    by_tile = dict(zip((one.tile for one in asked), made, strict=True))
    kept = tuple(
        _labelled(record, by_tile.get(record.tile), recipe)
        for record in records
        if _share(record, by_tile.get(record.tile)) < teacher.tissue.share
    )
    if not kept:
        raise TileListError(
            f"found {len(records)} tiles, all of which the teacher calls background, expected tissue: use "
            f"other tiles"
        )
    unlabelled = sum(record.label_from == TEACHER for record in kept)
    return TaughtTiles(kept, unlabelled, len(records) - len(kept))


def _share(record: TileRecord, row: NDArray[np.float32] | None) -> float:
    """Background of a tile, 0..1: as it was looked at, else as the list has it, which only others need."""
    return 1 - (record.tissue_fraction or 0.0) if row is None else float(row[0])


def _background(record: TileRecord, teacher: Teacher) -> float:
    """Share of the tile, 0..1: the list's, else that of its pixels as they were scanned."""
    if record.tissue_fraction is not None:
        return 1 - record.tissue_fraction
    pixels = decode_image(io.BytesIO(record.path.read_bytes()), record.path)
    return teacher.tissue.background_share(pixels)


def _labelled(record: TileRecord, row: NDArray[np.float32] | None, recipe: Recipe) -> TileRecord:
    if record.label != UNLABELLED or row is None:
        return record
    return replace(record, label=recipe.labels[int(row[1:].argmax())], label_from=TEACHER)


def _key(asked: Sequence[TileRecord], recipe: Recipe, teacher: Teacher) -> str:
    """What the answers follow from, as 16 hex digits; a tile without a hash is told by its name."""
    digest = hashlib.sha256(teacher.sha256.encode() + dump_recipe(recipe))
    for record in asked:
        digest.update(f"{record.tile}\n{record.sha256}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
