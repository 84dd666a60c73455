"""What a run needs to go on after the epoch its checkpoint was written at, from a network and back into it.

Weights, the seeds of dropout, the optimizer's slots and the state of the schedule; the order of tiles and
their augmentation follow from seed and epoch. So a run that was killed ends as one that was not.
"""

from __future__ import annotations

from typing import Any

from her2edge_training.network.backend import keras
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.records import Progress


def save_checkpoint(folder: NewRun, model: Any, progress: Progress) -> None:
    """Write the checkpoint of a compiled model; raises OutputError, and the former one stays then."""
    folder.write_checkpoint([keras.ops.convert_to_numpy(value) for value in _variables(model)], progress)


def restore(folder: RunFolder, model: Any) -> None:
    """Put the checkpoint's values into a compiled model; raises RunFolderError where they do not fit it."""
    model.optimizer.build(model.trainable_variables)
    variables, values = _variables(model), folder.checkpoint()
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise RunFolderError(
            f"{folder.name}/checkpoint.npz is of another network or optimizer: train in a new folder"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _variables(model: Any) -> list[Any]:
    """Weights, seeds and slots, in an order that the architecture fixes."""
    return [*model.variables, *model.optimizer.variables]
