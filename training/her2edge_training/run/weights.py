"""Weights of a network without its optimizer's state, which is twice as large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from her2edge_training.network.backend import keras
from her2edge_training.run.new_run import NewRun


def save_best_weights(model: Any, folder: NewRun) -> None:
    """Write best.weights.h5, whole or not at all. Raises OutputError."""
    folder.write_best_weights(_bare(model).save_weights)


def load_weights(model: Any, path: Path) -> None:
    """Read what `save_best_weights` wrote."""
    _bare(model).load_weights(str(path))


def _bare(model: Any) -> Any:
    """The same layers without an optimizer, which Keras would save and load with them."""
    return keras.Model(model.inputs, model.outputs)
