"""RUN/checkpoint.npz: everything a run needs to go on after the epoch it was written at, whole at any moment.

Weights, the seeds of dropout, the optimizer's slots and the state of the schedule; the order of tiles and
their augmentation follow from seed and epoch. So a run that was killed ends as one that was not.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from her2edge.errors import Her2EdgeError, ModelError
from her2edge.files import whole
from her2edge_training.network.backend import keras

NAME = "checkpoint.npz"


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an epoch.

    stage, stage_epochs: the stage (from 1) and its epochs done; epochs: those of the run.
    seconds, stage_seconds: spent so far, of a time limit that goes on counting.
    best_rank, best_epoch: as in `watch.Best`; best, wait, cooldown: of ReduceLROnPlateau.
    """

    stage: int
    stage_epochs: int
    epochs: int
    seconds: float
    stage_seconds: float
    best_rank: tuple[float, float]
    best_epoch: int
    best: float
    wait: int
    cooldown: int


def save_checkpoint(run: Path, model: Any, progress: Progress) -> None:
    """Write the checkpoint of a compiled model; raises OutputError, and the former one stays then."""
    values = {
        f"{n:05d}": keras.ops.convert_to_numpy(variable) for n, variable in enumerate(_variables(model))
    }
    state = np.frombuffer(msgspec.json.encode(progress), np.uint8)
    with whole(run / NAME) as temporary, temporary.open("wb") as file:
        np.savez(file, state=state, **values)


def read_progress(run: Path) -> Progress | None:
    """Where a run stands; None where no epoch was finished. Raises ModelError for a damaged file."""
    if not (run / NAME).is_file():
        return None
    with _opened(run) as file:
        return msgspec.json.decode(file["state"].tobytes(), type=Progress)


def restore(run: Path, model: Any) -> None:
    """Put the checkpoint's values into a compiled model; raises ModelError where they do not fit it."""
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    with _opened(run) as file:
        values = [file[name] for name in sorted(set(file.files) - {"state"})]
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise ModelError(f"{run.name}/{NAME} is of another network or optimizer: train in a new folder")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def forget_checkpoint(run: Path) -> None:
    """A finished run needs none: it is three times the weights."""
    (run / NAME).unlink(missing_ok=True)


@contextmanager
def _opened(run: Path) -> Iterator[Any]:
    try:
        with np.load(run / NAME, allow_pickle=False) as file:
            yield file
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, msgspec.DecodeError) as error:
        if isinstance(error, Her2EdgeError):
            raise
        raise ModelError(
            f"{run.name}/{NAME} cannot be read ({error}): remove it to begin the run again"
        ) from error


def _variables(model: Any) -> list[Any]:
    """Weights, seeds and slots, in an order that the architecture fixes."""
    return [*model.variables, *model.optimizer.variables]
