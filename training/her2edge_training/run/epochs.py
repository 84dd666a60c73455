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
from her2edge.files import whole, write_bytes
from her2edge_training.cohort.dataset import TileSequence
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Plateau as PlateauRule
from her2edge_training.run.checkpoint import Progress, save_checkpoint

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
# The log's columns and Keras' names: its `loss` counts the rows that fill up a batch, `entropy` does not.
RESULTS = {
    "loss": "entropy",
    "accuracy": "accuracy",
    "val_loss": "val_entropy",
    "val_accuracy": "val_accuracy",
}
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
    spent: float = 0.0  # seconds, before this process
    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Spent so far, in all processes of the run."""
        return self.spent + time.monotonic() - self.start

    def is_up(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes


class Plateau(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    """ReduceLROnPlateau on validation accuracy that can go on where a former process stopped."""

    def __init__(self, rule: PlateauRule, former: Progress | None) -> None:
        super().__init__(
            monitor="val_accuracy",
            mode="max",
            factor=rule.factor,
            patience=rule.patience,
            min_lr=rule.minimum,
        )
        self._former = former

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)  # forgets everything
        if self._former is not None:
            former = self._former
            self.best, self.wait, self.cooldown_counter = former.best, former.wait, former.cooldown


@dataclass(frozen=True, eq=False)
class StageRun:
    """What an EpochWatch watches: one stage of a run, from the epoch it begins or goes on with.

    number:       of the stage, from 1; first_epoch: the run's epochs before the stage.
    run_clock, stage_clock: the limits of both, which go on counting over restarts.
    """

    run: Path
    number: int
    tile_px: int
    first_epoch: int
    sequence: TileSequence
    best: Best
    plateau: Plateau
    run_clock: Clock
    stage_clock: Clock
    board: Any
    report: Report


class EpochWatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keras callback of one stage; `epochs_done` counts those of earlier processes too."""

    def __init__(self, stage: StageRun, epochs_done: int) -> None:
        super().__init__()
        self.epochs_done = epochs_done
        self._stage = stage
        self._began = self._reported = time.monotonic()
        self._learning_rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        self._stage.sequence.epoch = self._stage.first_epoch + epoch
        self._began = self._reported = time.monotonic()
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        self._refuse_nan(loss, f"batch {batch + 1}")
        now = time.monotonic()
        if now - self._reported > _REPORT_SECONDS:
            self._reported = now
            pace = (now - self._began) / (batch + 1)
            self._stage.report(
                f"stage {self._stage.number} epoch {self._number}: batch {batch + 1} of "
                f"{len(self._stage.sequence)}, loss {loss:.3f}, {pace:.1f} s per batch"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        """Best weights, log, TensorBoard, and last the checkpoint: a crash in between repeats the epoch."""
        stage, number = self._stage, self._number
        seconds = time.monotonic() - self._began
        result = {name: float(logs[key]) for name, key in RESULTS.items()}
        self._refuse_nan(result["loss"], "its end")
        better = stage.best.offer(result["val_accuracy"], result["val_loss"], number)
        if better:
            save_weights(self.model, stage.run / "best.weights.h5")
        figures = [f"{result[name]:.6g}" for name in RESULTS]
        row = (number, stage.number, stage.tile_px, *figures, f"{self._learning_rate:.6g}", f"{seconds:.1f}")
        append_log(stage.run / "log.csv", row)
        for name in RESULTS:
            part = "validation" if name.startswith("val_") else "train"
            stage.board.add_scalar(f"{part}/{name.removeprefix('val_')}", result[name], number)
        stage.board.add_scalar("learning_rate", self._learning_rate, number)
        stage.board.flush()
        self.epochs_done += 1
        save_checkpoint(stage.run, self.model, self.progress())
        stage.report(
            f"stage {stage.number} epoch {number}: loss {result['loss']:.3f} accuracy "
            f"{result['accuracy']:.3f}, validation {result['val_loss']:.3f} {result['val_accuracy']:.3f}"
            f"{' (best)' if better else ''}, learning rate {self._learning_rate:.1e}, {seconds:.0f} s"
        )
        if stage.run_clock.is_up() or stage.stage_clock.is_up():
            stage.report(f"stage {stage.number}: time is up after epoch {number}")
            self.model.stop_training = True

    def progress(self) -> Progress:
        """Where the run stands after the epochs done."""
        stage = self._stage
        best = stage.plateau.best
        return Progress(
            stage=stage.number,
            stage_epochs=self.epochs_done,
            epochs=stage.first_epoch + self.epochs_done,
            seconds=stage.run_clock.seconds,
            stage_seconds=stage.stage_clock.seconds,
            best_rank=stage.best.rank,
            best_epoch=stage.best.epoch,
            best=-1.0 if best is None else float(best),
            wait=int(stage.plateau.wait),
            cooldown=int(stage.plateau.cooldown_counter),
        )

    @property
    def _number(self) -> int:
        return self._stage.first_epoch + self.epochs_done + 1

    def _refuse_nan(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            kept = "best.weights.h5 and checkpoint.npz hold the epochs before"
            raise TrainingDivergedError(
                f"the loss became {loss} in stage {self._stage.number}, epoch {self._number}, {where}: "
                f"expected a finite number; lower the learning rate ({self._learning_rate:.1e}) and train "
                "again; "
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


def cut_log(path: Path, epochs: int) -> None:
    """Leave the rows of the first `epochs` epochs: one written just before a crash comes again."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row and (row[0] == "epoch" or int(row[0]) <= epochs)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(path, text.getvalue().encode())


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
