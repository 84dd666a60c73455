"""The tiles a converted model is judged on: the run's validation part, and more of other patients.

The test part is no part of it: it is read once, when the training ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_quantize.gate.kept import answers_file, keep_answers, read_answers
from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.trained import TrainedRun


@dataclass(frozen=True)
class HeldOut:
    """Labelled tiles, and how many of them came from another tile list than the run's."""

    records: tuple[TileRecord, ...]
    added: int


def held_out_tiles(run: TrainedRun, tiles: TileList, more: TileList | None = None) -> HeldOut:
    """The validation part of the run's split, then the tiles of the list `more`, background left out.

    Raises TileListError where `more` has a patient (a slide, where no patient is named) or a file of the
    run's own cohort, whatever part it is in; and what `TrainedRun.select` and training's check of the scale
    raise.
    """
    from her2edge_training.cohort.screen import usable

    own = run.select(tiles, "validation")
    if more is None:
        return HeldOut(own, 0)
    added, _background = usable(more.records, run.recipe)
    groups = {record.group for record in tiles.records}
    files = {record.sha256 for record in tiles.records} - {""}
    for record in added:
        if record.group in groups or record.sha256 in files:
            raise TileListError(
                f"{more.path.name}: tile {record.tile!r} is of a patient or slide the run has in its own "
                "cohort, expected others: tiles that training has seen show nothing"
            )
    return HeldOut(own + added, len(added))


def reference(
    network: Any, run: TrainedRun, records: tuple[TileRecord, ...], report: Callable[[str], None]
) -> Predictions:
    """What the trained float32 network says of them, in their order: asked once, then kept in the run."""
    labels, kept = run.recipe.labels, answers_file(run, records)
    logits = read_answers(kept, len(records), len(labels))
    if logits is not None:
        report(f"float32 has read these {len(records)} held-out tiles before")
    else:
        report(f"float32 reads {len(records)} held-out tiles")
        logits = _ask(network, run, records)
        keep_answers(kept, logits)
    return Predictions.of(records, logits, labels)


def _ask(network: Any, run: TrainedRun, records: tuple[TileRecord, ...]) -> NDArray[np.float32]:
    from her2edge_training.cohort.stains import stain_normalizer
    from her2edge_training.cohort.store import TileStore
    from her2edge_training.network.predict import predict, with_features
    from her2edge_training.network.sequence import TileSequence

    store = TileStore(stain_normalizer(run.recipe.stain), memory_mib=0)
    sequence = TileSequence(records, run.recipe.labels, store, tile_px=run.recipe.tile_px, batch=8)
    return predict(with_features(network), sequence)[0]
