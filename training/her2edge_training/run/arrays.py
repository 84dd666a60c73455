"""The arrays of a run folder, .npz and .npy. A damaged one is a RunFolderError or ValueError."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.arrays import read_array, read_arrays
from her2edge.files import atomic, parse_json, whole
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.records import Progress

_STATE = "state"  # the checkpoint's member that holds its Progress; the others are values by number
_MOST_CHANNELS = 1 << 14  # of a network's pooled features
_SLACK = 1 << 16  # bytes of an archive beside its arrays


def write_features(path: Path, features: NDArray[Any]) -> None:
    """(n, channels) numbers, as float32. Raises OutputError."""
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, features=features.astype(np.float32))


def read_features(path: Path, tiles: int) -> NDArray[np.float32]:
    """(tiles, channels) float32, finite."""
    features = _arrays(path, ("features",), 4 * tiles * _MOST_CHANNELS + _SLACK)["features"]
    if features.ndim != 2 or len(features) != tiles or not np.isfinite(features).all():
        raise ValueError(f"found features {features.shape}, expected finite ones of {tiles} tiles")
    return features


def write_reference(path: Path, logits: NDArray[np.float32]) -> None:
    """(n, classes) logits. Raises OutputError."""
    with atomic(path) as file:
        np.save(file, logits, allow_pickle=False)


def read_reference(path: Path, tiles: int, classes: int) -> NDArray[np.float32]:
    """(tiles, classes) float32 logits, finite."""
    logits = read_array(path, name=path.name, limit=4 * tiles * classes, wrong=RunFolderError)
    if logits.shape != (tiles, classes) or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise ValueError(f"found {logits.dtype} {logits.shape}, expected finite float32 {(tiles, classes)}")
    return np.asarray(logits, dtype=np.float32)


def write_taught(path: Path, rows: NDArray[np.float32]) -> None:
    """(n, 1 + classes): background share, logits. Raises OutputError."""
    with atomic(path) as file:
        np.save(file, rows, allow_pickle=False)


def read_taught(path: Path, classes: int) -> NDArray[np.float32]:
    """(n, 1 + classes) float32; logits are NaN where none were asked for."""
    rows = read_array(path, name=path.name, limit=path.stat().st_size, wrong=RunFolderError)
    if rows.ndim != 2 or rows.shape[1] != 1 + classes or rows.dtype != np.float32:
        raise ValueError(f"found {rows.dtype} {rows.shape}, expected float32 (n, {1 + classes})")
    return np.asarray(rows, dtype=np.float32)


def write_checkpoint(path: Path, values: Sequence[NDArray[Any]], progress: Progress) -> None:
    """Values in their order. Raises OutputError, and the former file stays then."""
    members: dict[str, Any] = {f"{n:05d}": value for n, value in enumerate(values)}
    members[_STATE] = np.frombuffer(msgspec.json.encode(progress), np.uint8)
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **members)


def read_progress(path: Path) -> Progress:
    """The checkpoint's state, without its values."""
    return parse_json(_arrays(path, (_STATE,))[_STATE].tobytes(), Progress)


def read_checkpoint(path: Path) -> list[NDArray[Any]]:
    """The checkpoint's values, in their order."""
    arrays = _arrays(path)
    return [arrays[name] for name in sorted(arrays.keys() - {_STATE})]


def _arrays(
    path: Path, names: Collection[str] | None = None, limit: int | None = None
) -> dict[str, NDArray[Any]]:
    """limit: None for a file that is not packed: its arrays take no more bytes than it has."""
    limit = path.stat().st_size if limit is None else limit
    return read_arrays(path, names, name=path.name, limit=limit, wrong=RunFolderError)
