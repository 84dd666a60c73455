"""The tiles a converted model is held against float32 on, and which of them judge it.

Those of the run's validation part chose the checkpoint, and the epoch of training for int8: they have labels,
for the temperature, and judge nothing. The part "gate" and tiles of other patients judge. The test part is no
part of it: it is read once, when the training ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord, meets, traces
from her2edge_training.run.records import GATE
from her2edge_training.run.trained import TrainedRun


@dataclass(frozen=True)
class HeldOut:
    """Tiles of the validation part, then of the part that was held back, then `added` of other patients.

    The label of a tile is empty where it has none. chose: how many are of the validation part. unsure: how
    many, the last, were brought for a student where its teacher is unsure: they judge nothing else.
    """

    records: tuple[TileRecord, ...]
    chose: int
    added: int
    unsure: int = 0

    @property
    def judges(self) -> NDArray[np.bool_]:
        """(n,) the tiles that chose nothing."""
        places = np.arange(len(self.records))
        return (places >= self.chose) & ~self.unsure_tiles

    @property
    def unsure_tiles(self) -> NDArray[np.bool_]:
        """(n,) the tiles that were brought for a student."""
        return np.arange(len(self.records)) >= len(self.records) - self.unsure

    @property
    def patients(self) -> int:
        """Of the tiles that judge."""
        return len({r.group for r, one in zip(self.records, self.judges, strict=True) if one})


def held_out_tiles(
    run: TrainedRun,
    tiles: TileList,
    added: Sequence[TileRecord] = (),
    unsure: Sequence[TileRecord] = (),
) -> HeldOut:
    """The validation part and the part that is held back of the run's split, and tiles of other patients.

    unsure: tissue between classes, for a student.
    Raises TileListError where `added` or `unsure` has a patient (a slide, where no patient is named) or a
    file of the run's own cohort, whatever part it is in; and what `TrainedRun.select` raises.
    """
    validation, held_back = (run.select(tiles, part) for part in ("validation", GATE))
    seen = traces(tiles.records)
    files = {record.sha256 for record in tiles.records} - {""}
    for record in (*added, *unsure):
        if meets(record, seen) or record.sha256 in files:
            raise TileListError(
                f"tile {record.tile!r} for the gate is of a patient or slide the run has in its own cohort, "
                "expected others: tiles seen in training prove nothing"
            )
    nameless = tuple(replace(record, label="") for record in unsure)
    records = (*validation, *held_back, *added, *nameless)
    return HeldOut(records, len(validation), len(added), len(nameless))
