"""What happens around each epoch: weights kept, log written, time and numbers watched."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from her2edge.errors import ModelError, OutputError
from her2edge.files import whole
from her2edge_training.backend import keras
from her2edge_training.dataset import TileSequence

LOG_COLUMNS = (
    "epoch",
    "stage",
    "tile_px",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)
_REPORT_SECONDS = 30.0
Report = Callable[[str], None]


class TrainingDivergedError(ModelError):
    """The loss is no longer a number; the last good weights are kept."""


@dataclass
class Best:
    """The best validation result of the stage; `rank` orders by accuracy, then by lower loss."""

    rank: tuple[float, float] = (-1.0, 0.0)
    epoch: int = 0

    def offer(self, accuracy: float, loss: float, epoch: int) -> bool:
        """True where this result is the best so far; it is then remembered."""
        if (accuracy, -loss) <= self.rank:
            return False
        self.rank, self.epoch = (accuracy, -loss), epoch
        return True


@dataclass
class Clock:
    """Time left, seconds on the monotonic clock; None never runs out."""

    minutes: float | None
    start: float = field(default_factory=time.monotonic)

    def is_up(self) -> bool:
        return self.minutes is not None and time.monotonic() - self.start >= 60 * self.minutes


class EpochWatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keras callback of one stage. `first_epoch` is the run's number of epochs before the stage."""

    def __init__(
        self,
        run: Path,
        stage: int,
        tile_px: int,
        first_epoch: int,
        sequence: TileSequence,
        best: Best,
        clocks: tuple[Clock, ...],
        report: Report,
    ) -> None:
        super().__init__()
        self.epochs_done = 0
        self._run, self._stage, self._tile_px, self._first = run, stage, tile_px, first_epoch
        self._sequence, self._best, self._clocks, self._report = sequence, best, clocks, report
        self._began = self._reported = time.monotonic()
        self._learning_rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        self._sequence.epoch = self._first + epoch
        self._began = self._reported = time.monotonic()
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        self._refuse_nan(loss, f"batch {batch + 1}")
        now = time.monotonic()
        if now - self._reported > _REPORT_SECONDS:
            self._reported = now
            pace = (now - self._began) / (batch + 1)
            self._report(
                f"stage {self._stage} epoch {self._number}: batch {batch + 1} of {len(self._sequence)}, "
                f"loss {loss:.3f}, {pace:.1f} s per batch"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        seconds = time.monotonic() - self._began
        result = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self._refuse_nan(result["loss"], "its end")
        better = self._best.offer(result["val_accuracy"], result["val_loss"], self._number)
        save_weights(self.model, self._run / "last.weights.h5")
        if better:
            save_weights(self.model, self._run / "best.weights.h5")
        where: tuple[object, ...] = (self._number, self._stage, self._tile_px)
        figures = [f"{result[name]:.6g}" for name in ("loss", "accuracy", "val_loss", "val_accuracy")]
        append_log(self._run / "log.csv", (*where, *figures, f"{self._learning_rate:.6g}", f"{seconds:.1f}"))
        self._report(
            f"stage {self._stage} epoch {self._number}: loss {result['loss']:.3f} accuracy "
            f"{result['accuracy']:.3f}, validation {result['val_loss']:.3f} {result['val_accuracy']:.3f}"
            f"{' (best)' if better else ''}, learning rate {self._learning_rate:.1e}, {seconds:.0f} s"
        )
        if any(clock.is_up() for clock in self._clocks):
            self._report(f"stage {self._stage}: time is up after epoch {self._number}")
            self.model.stop_training = True
        self.epochs_done += 1

    @property
    def _number(self) -> int:
        return self._first + self.epochs_done + 1

    def _refuse_nan(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            kept = "last.weights.h5 and best.weights.h5 hold the epochs before"
            raise TrainingDivergedError(
                f"the loss became {loss} in stage {self._stage}, epoch {self._number}, {where}: expected a "
                f"finite number; lower the learning rate ({self._learning_rate:.1e}) and train again; "
                f"{kept if self._number > 1 else 'no epoch was finished'}"
            )


def save_weights(model: Any, path: Path) -> None:
    """Write a `.weights.h5`, whole or not at all; the optimizer's state (twice the weights) stays out."""
    with whole(path) as temporary:
        _bare(model).save_weights(str(temporary))


def load_weights(model: Any, path: Path) -> None:
    """Read what `save_weights` wrote."""
    _bare(model).load_weights(str(path))


def _bare(model: Any) -> Any:
    """The same layers without an optimizer, which Keras would save and load with them."""
    return keras.Model(model.inputs, model.outputs)


def append_log(path: Path, row: tuple[object, ...]) -> None:
    """Append one row to the CSV log, with its header where the file is new, and sync it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    try:
        if not path.exists():
            writer.writerow(LOG_COLUMNS)
        writer.writerow(row)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
