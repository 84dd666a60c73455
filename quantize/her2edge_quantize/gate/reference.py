"""What the trained float32 network answers to held-out tiles: asked once, then kept in the run's folder."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OutputError
from her2edge_quantize.gate.gate_store import GateStore
from her2edge_quantize.model_file.description import tool_versions
from her2edge_quantize.options import Report
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import dump_recipe
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.trained import TrainedRun

_SEEN_THROUGH = ("numba", "numpy", "opencv-python-headless")  # what tiles are read and normalised with
_log = logging.getLogger("her2edge")


def reference_of(
    network: Any, run: TrainedRun, records: tuple[TileRecord, ...], report: Report
) -> Predictions:
    """The float32 logits of the run's network for these tiles, in their order."""
    labels, key = run.recipe.labels, reference_key(run, records)
    logits = run.folder.reference(key, len(records), len(labels)) if key else None
    if logits is not None:
        report(f"float32 has already read these {len(records)} held-out tiles")
    else:
        report(f"float32 reads {len(records)} held-out tiles")
        logits = _ask(network, run, records)
        if key:
            keep_answers(run.folder, key, logits)
    return Predictions.of(records, logits, labels)


def reference_key(run: TrainedRun, records: tuple[TileRecord, ...]) -> str | None:
    """What the answers follow from, as 16 hex digits: network, recipe, tiles in their order, packages used.

    None where the tile list does not hash every tile: nobody would know, then, that one has changed.
    """
    if not all(record.sha256 for record in records):
        return None
    digest = hashlib.sha256(hashlib.sha256(run.network.read_bytes()).digest() + dump_recipe(run.recipe))
    digest.update(repr(tool_versions(_SEEN_THROUGH)).encode())
    for record in records:
        digest.update(record.sha256.encode())
    return digest.hexdigest()[:16]


def keep_answers(folder: RunFolder, key: str, logits: NDArray[np.float32]) -> None:
    """Keep them; a run that cannot be written to costs the next scheme time, not this one its model."""
    try:
        folder.keep_reference(key, logits)
    except OutputError as error:
        _log.warning("float32's answers are not kept in the run: %s", error)


def _ask(network: Any, run: TrainedRun, records: tuple[TileRecord, ...]) -> NDArray[np.float32]:
    from her2edge_training.network.predict import predict, with_features
    from her2edge_training.network.sequence import TileSequence

    labels = run.recipe.labels
    named = [record if record.label else replace(record, label=labels[0]) for record in records]  # not used
    with GateStore(run.recipe) as store:
        sequence = TileSequence(named, labels, store, tile_px=run.recipe.tile_px, batch=8)
        return predict(with_features(network), sequence)[0]
