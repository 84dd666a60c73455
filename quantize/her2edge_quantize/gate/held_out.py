"""The tiles a converted model is judged on: the run's validation part, and more of other patients.

The test part is no part of it: it is read once, when the training ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord, meets, traces
from her2edge_training.run.trained import TrainedRun


@dataclass(frozen=True)
class HeldOut:
    """Labelled tiles, and how many of them came from another tile list than the run's."""

    records: tuple[TileRecord, ...]
    added: int


def held_out_tiles(run: TrainedRun, tiles: TileList, more: TileList | None = None) -> HeldOut:
    """The validation part of the run's split, then the tiles of the list `more`, background left out.

    Raises TileListError where `more` has a patient (a slide, where no patient is named) or a file of the
    run's own cohort, whatever part it is in; and what `TrainedRun.select` and training's check of
    the scale raise.
    """
    own = run.select(tiles, "validation")
    if more is None:
        return HeldOut(own, 0)
    from her2edge_training.cohort.screen import usable

    added, _background = usable(more.records, run.recipe)
    seen = traces(tiles.records)
    files = {record.sha256 for record in tiles.records} - {""}
    for record in added:
        if meets(record, seen) or record.sha256 in files:
            raise TileListError(
                f"{more.path.name}: tile {record.tile!r} is of a patient or slide the run has in its own "
                "cohort, expected others: tiles that training has seen show nothing"
            )
    return HeldOut(own + added, len(added))
