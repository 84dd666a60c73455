"""Tiles that set the ranges of int8: from the training part only, spread over classes and slides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from her2edge.model.records import Calibration
from her2edge.tile import Pixels
from her2edge_quantize.options import PER_CLASS
from her2edge_training.cohort.spread import spread
from her2edge_training.cohort.store import network_inputs
from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord
from her2edge_training.run.trained import TrainedRun

MINIMUM_PER_CLASS = 4


@dataclass(frozen=True, eq=False)
class CalibrationTiles:
    """pixels: (n, tile_px, tile_px, 3) uint8 RGB network inputs; record: the salted hashes of their ids."""

    pixels: Pixels
    record: Calibration


def calibration_tiles(
    run: TrainedRun, tiles: TileList, per_class: int = PER_CLASS, seed: int = 0
) -> CalibrationTiles:
    """At most `per_class` training tiles of each class, one slide after the other; one with fewer gives all.

    tiles: the list the run was trained with. The same run, list and seed give the same tiles in the same
    order. Raises TileListError where a class has less than MINIMUM_PER_CLASS, or `per_class` asks for less;
    and as `TrainedRun.select`.
    """
    training = run.select(tiles, "train")
    chosen: list[TileRecord] = []
    for index, label in enumerate(run.recipe.labels):
        own = [record for record in training if record.label == label]
        if min(len(own), per_class) < MINIMUM_PER_CLASS:
            raise TileListError(
                f"found {len(own)} training tiles of class {label} with per_class={per_class}, expected at "
                f"least {MINIMUM_PER_CLASS} to calibrate with: add tiles"
            )
        chosen += spread(own, np.random.default_rng((seed, index)))[:per_class]
    pixels = np.stack(list(network_inputs(tuple(chosen), run.recipe)))
    salt = hashlib.sha256(f"{run.environment.tile_list_sha256} {seed}".encode()).hexdigest()[:32]
    hashes = tile_hashes(salt, (record.tile for record in chosen))
    return CalibrationTiles(pixels, Calibration(salt=salt, tile_ids=hashes))


def tile_hashes(salt: str, tiles: Iterable[str]) -> tuple[str, ...]:
    """Hex SHA-256 of salt and tile id: whoever holds the ids can check them, nobody can read them."""
    return tuple(hashlib.sha256(f"{salt}\n{tile}".encode()).hexdigest() for tile in tiles)
