"""The arrays of a run folder, in .npz and .npy files. Reading raises one of DAMAGED for a damaged file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.files import atomic, whole
from her2edge_training.run.records import Progress

_STATE = "state"  # the checkpoint's member that holds its Progress; the others are values by number
DAMAGED = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error)  # np.load of broken files


def write_features(path: Path, features: NDArray[Any]) -> None:
    """(n, channels) numbers, as float32. Raises OutputError."""
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, features=features.astype(np.float32))


def read_features(path: Path, tiles: int) -> NDArray[np.float32]:
    """(tiles, channels) float32, finite."""
    with np.load(path, allow_pickle=False) as file:
        features = np.asarray(file["features"])
    if features.ndim != 2 or len(features) != tiles or not np.isfinite(features).all():
        raise ValueError(f"found features {features.shape}, expected finite ones of {tiles} tiles")
    return features


def write_reference(path: Path, logits: NDArray[np.float32]) -> None:
    """(n, classes) logits. Raises OutputError."""
    with atomic(path) as file:
        np.save(file, logits, allow_pickle=False)


def read_reference(path: Path, tiles: int, classes: int) -> NDArray[np.float32]:
    """(tiles, classes) float32 logits, finite."""
    with path.open("rb") as file:
        logits = np.lib.format.read_array(file, allow_pickle=False)
    if logits.shape != (tiles, classes) or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise ValueError(f"found {logits.dtype} {logits.shape}, expected finite float32 {(tiles, classes)}")
    return np.asarray(logits, dtype=np.float32)


def write_checkpoint(path: Path, values: Sequence[NDArray[Any]], progress: Progress) -> None:
    """Values in their order. Raises OutputError, and the former file stays then."""
    members: dict[str, Any] = {f"{n:05d}": value for n, value in enumerate(values)}
    members[_STATE] = np.frombuffer(msgspec.json.encode(progress), np.uint8)
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **members)


def read_progress(path: Path) -> Progress:
    """The checkpoint's state, without its values."""
    with np.load(path, allow_pickle=False) as file:
        return msgspec.json.decode(file[_STATE].tobytes(), type=Progress)


def read_checkpoint(path: Path) -> list[NDArray[Any]]:
    """The checkpoint's values, in their order."""
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in sorted(set(file.files) - {_STATE})]
