"""What the float32 network said of held-out tiles, kept in the run: the next scheme need not ask again."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OutputError
from her2edge.files import atomic
from her2edge_quantize.model_file.pack import tool_versions
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import dump_recipe
from her2edge_training.run.trained import TrainedRun

_SEEN_THROUGH = ("numba", "numpy", "opencv-python-headless")  # what tiles are read and normalised with
_log = logging.getLogger("her2edge")


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
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != (tiles, classes) or found.dtype != np.float32 or not np.isfinite(found).all():
        return None
    return np.asarray(found, dtype=np.float32)


def keep_answers(path: Path | None, logits: NDArray[np.float32]) -> None:
    """Write them; a run that cannot be written to costs the next scheme time, not this one its model."""
    if path is None:
        return
    try:
        with atomic(path) as file:
            np.save(file, logits, allow_pickle=False)
    except OutputError as error:
        _log.warning("float32's answers are not kept in the run: %s", error)
