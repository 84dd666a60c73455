"""RUN, the folder of a training run: all that is read from it. `new_run` writes it, but for the reference.

Needs no Keras.

recipe.json environment.json split.csv        what is done (written first)
unreadable.csv                                tiles left out because they cannot be read, and why
checked.csv                                   the files of the others: a run that goes on need not decode them
taught-<key>.npy                              what a student's teacher said of tiles without a label
log.csv best.weights.h5 checkpoint.npz        while it runs, each whole at any moment
tensorboard/                                  the log's figures as TensorBoard shows them
model.keras                                   at the end: the best weights at full size
predictions.csv features.npz metrics.json     what it says of each tile of validation and test; the scores
float32-<key>.npy                             logits of `quantize`'s held-out tiles, kept for its next scheme

A file that is not there is a MissingInputError, one that is damaged a RunFolderError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import MissingInputError
from her2edge.files import look, sha256_of
from her2edge.text import first_line
from her2edge_training.cohort.screen import Unreadable
from her2edge_training.cohort.store import Checked
from her2edge_training.recipe import Recipe, read_recipe
from her2edge_training.run import arrays, codecs
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.predictions import Predictions, read_predictions
from her2edge_training.run.records import Environment, Epoch, Metrics, Progress, SplitRow

T = TypeVar("T")
_AGAIN = "train again"


@dataclass(frozen=True)
class RunFolder:
    """Each file has one reader here; nothing is read before it is asked for."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """A folder that is there. Raises MissingInputError where nothing is, RunFolderError for a file."""
        path = Path(path)
        found = look(path, "the folder of a training run", RunFolderError)
        if found == "file":
            raise RunFolderError(
                f"found the file {path.name}, expected the folder of a training run with its model.keras: "
                "HDF5 and pickle files may run code when they are read, so they are never opened"
            )
        if found != "folder":
            raise MissingInputError(f"no run at {path}: expected the folder `her2edge train --out` made")
        return cls(path)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.name

    @property
    def best_weights(self) -> Path:
        """best.weights.h5, of the best epoch so far."""
        return self.path / "best.weights.h5"

    @property
    def network(self) -> Path:
        """model.keras, the finished network."""
        return self.path / "model.keras"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def is_finished(self) -> bool:
        """Whether metrics.json, the last of its files, is there."""
        return self.holds("metrics.json")

    def holds(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return look(self.path / name, "a file of a training run", RunFolderError) == "file"

    def recipe(self) -> Recipe:
        """recipe.json."""
        with self._reading("recipe.json") as path:
            return read_recipe(path)

    def environment(self) -> Environment:
        """environment.json."""
        return self._read("environment.json", codecs.read_environment)

    def split(self) -> tuple[SplitRow, ...]:
        """split.csv, one row per tile in the tile list's order."""
        return self._read("split.csv", codecs.read_split)

    def unreadable(self) -> tuple[Unreadable, ...]:
        """unreadable.csv."""
        return self._read("unreadable.csv", lambda data: codecs.read_table(Unreadable, data))

    def checked(self) -> Mapping[str, Checked]:
        """checked.csv by tile; empty where there is none that can be read: tiles are then looked at again."""
        try:
            rows = self._read("checked.csv", lambda data: codecs.read_table(Checked, data))
        except (MissingInputError, RunFolderError):
            return {}
        return {row.tile: row for row in rows}

    def log(self) -> tuple[Epoch, ...]:
        """log.csv, one row per epoch."""
        return self._read("log.csv", lambda data: codecs.read_table(Epoch, data))

    def seconds(self) -> float:
        """Spent in all epochs."""
        return sum(epoch.seconds for epoch in self.log())

    def metrics(self) -> Metrics:
        """metrics.json."""
        return self._read("metrics.json", codecs.read_metrics)

    def predictions(self, part: str, labels: tuple[str, ...]) -> Predictions:
        """What predictions.csv says of the part "validation" or "test"."""
        return self._read("predictions.csv", lambda data: read_predictions(data, part, labels))

    def features(self, tiles: int) -> NDArray[np.float32] | None:
        """features.npz: (tiles, channels) float32 of the test part in its order; None where there is none."""
        if not self.holds("features.npz"):
            return None
        with self._reading("features.npz") as path:
            return arrays.read_features(path, tiles)

    def progress(self) -> Progress | None:
        """Where the run stands by checkpoint.npz; None where no epoch was finished."""
        if not self.holds("checkpoint.npz"):
            return None
        with self._reading("checkpoint.npz", "remove it to begin the run again") as path:
            return arrays.read_progress(path)

    def checkpoint(self) -> list[NDArray[Any]]:
        """The values in checkpoint.npz, in the order they were written in."""
        with self._reading("checkpoint.npz", "remove it to begin the run again") as path:
            return arrays.read_checkpoint(path)

    def reference(self, key: str, tiles: int, classes: int) -> NDArray[np.float32] | None:
        """float32-<key>.npy: (tiles, classes) logits; None where there are none, or not whole: ask again."""
        try:
            with self._reading(_reference(key)) as path:
                return arrays.read_reference(path, tiles, classes)
        except (MissingInputError, RunFolderError):
            return None

    def keep_reference(self, key: str, logits: NDArray[np.float32]) -> None:
        """Write what `reference` reads, whole or not at all; raises OutputError."""
        arrays.write_reference(self.path / _reference(key), logits)

    def taught(self, key: str, classes: int) -> NDArray[np.float32] | None:
        """taught-<key>.npy: (n, 1 + classes), see `arrays.read_taught`; None where there is none that is
        whole: the teacher is asked again."""
        try:
            with self._reading(_taught(key)) as path:
                return arrays.read_taught(path, classes)
        except (MissingInputError, RunFolderError):
            return None

    def best_weights_sha256(self) -> str:
        """Hex digest of best.weights.h5."""
        with self._reading("best.weights.h5") as path:
            return sha256_of(path)

    def _read(self, name: str, decode: Callable[[bytes], T]) -> T:
        with self._reading(name) as path:
            return decode(path.read_bytes())

    @contextmanager
    def _reading(self, name: str, advice: str = _AGAIN) -> Iterator[Path]:
        """The file's path; whatever goes wrong with it inside is a RunFolderError."""
        path = self.path / name
        if not self.holds(name):
            raise MissingInputError(
                f"{self.name}: found no {name}, expected the folder of a training run that has come this far"
            )
        try:
            yield path
        except (MissingInputError, MemoryError):
            raise
        except Exception as error:
            raise RunFolderError(
                f"{self.name}/{name} cannot be read ({first_line(error)}): {advice}"
            ) from error


def _taught(key: str) -> str:
    return f"taught-{key}.npy"


def _reference(key: str) -> str:
    return f"float32-{key}.npy"
