"""What the trained float32 network answers to held-out tiles: asked once, then kept in the run's folder."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OutputError
from her2edge.files import atomic
from her2edge_quantize.model_file.description import tool_versions
from her2edge_quantize.options import Report
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import dump_recipe
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.trained import TrainedRun

_SEEN_THROUGH = ("numba", "numpy", "opencv-python-headless")  # what tiles are read and normalised with
_log = logging.getLogger("her2edge")


def reference_of(
    network: Any, run: TrainedRun, records: tuple[TileRecord, ...], report: Report
) -> Predictions:
    """The float32 logits of the run's network for these tiles, in their order."""
    labels, kept = run.recipe.labels, answers_file(run, records)
    logits = read_answers(kept, len(records), len(labels))
    if logits is not None:
        report(f"float32 has read these {len(records)} held-out tiles before")
    else:
        report(f"float32 reads {len(records)} held-out tiles")
        logits = _ask(network, run, records)
        keep_answers(kept, logits)
    return Predictions.of(records, logits, labels)


def answers_file(run: TrainedRun, records: tuple[TileRecord, ...]) -> Path | None:
    """RUN/float32-<hash>.npy, the hash being of network, recipe, tiles in their order and the packages used.

    None where the tile list does not hash every tile: nobody would know, then, that one has changed.
    """
    if not all(record.sha256 for record in records):
        return None
    digest = hashlib.sha256(hashlib.sha256(run.network.read_bytes()).digest() + dump_recipe(run.recipe))
    digest.update(repr(tool_versions(_SEEN_THROUGH)).encode())
    for record in records:
        digest.update(record.sha256.encode())
    return run.folder.path / f"float32-{digest.hexdigest()[:16]}.npy"


def read_answers(path: Path | None, tiles: int, classes: int) -> NDArray[np.float32] | None:
    """(tiles, classes) float32 logits, None where they are not kept or not whole."""
    if path is None or not path.is_file():
        return None
    try:
        logits = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if logits.shape != (tiles, classes) or logits.dtype != np.float32 or not np.isfinite(logits).all():
        return None
    return np.asarray(logits, dtype=np.float32)


def keep_answers(path: Path | None, logits: NDArray[np.float32]) -> None:
    """Write them; a run that cannot be written to costs the next scheme time, not this one its model."""
    if path is None:
        return
    try:
        with atomic(path) as file:
            np.save(file, logits, allow_pickle=False)
    except OutputError as error:
        _log.warning("float32's answers are not kept in the run: %s", error)


def _ask(network: Any, run: TrainedRun, records: tuple[TileRecord, ...]) -> NDArray[np.float32]:
    from her2edge_training.cohort.stains import stain_normalizer
    from her2edge_training.cohort.store import TileStore
    from her2edge_training.network.predict import predict, with_features
    from her2edge_training.network.sequence import TileSequence

    store = TileStore(stain_normalizer(run.recipe.stain), memory_mib=0)
    sequence = TileSequence(records, run.recipe.labels, store, tile_px=run.recipe.tile_px, batch=8)
    return predict(with_features(network), sequence)[0]
