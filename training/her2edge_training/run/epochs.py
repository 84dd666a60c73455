"""What happens around each epoch: weights kept, log written, time and numbers watched."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import TileSequence
from her2edge_training.run.checkpoint import save_checkpoint
from her2edge_training.run.errors import TrainingDivergedError
from her2edge_training.run.limits import Best, Clock
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.records import Epoch, Progress
from her2edge_training.run.schedule import Cosine, Plateau
from her2edge_training.run.weights import save_best_weights

# The log's columns and Keras' names: its `loss` counts the rows that fill up a batch, `entropy` does not.
RESULTS = {
    "loss": "entropy",
    "accuracy": "accuracy",
    "val_loss": "val_entropy",
    "val_accuracy": "val_accuracy",
}
_REPORT_SECONDS = 30.0
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class StageRun:
    """What an EpochWatch watches: one stage of a run, from the epoch it begins or goes on with.

    number:       of the stage, from 1; first_epoch: the run's epochs before the stage.
    run_clock, stage_clock: the limits of both, which go on counting over restarts.
    """

    folder: NewRun
    number: int
    tile_px: int
    first_epoch: int
    sequence: TileSequence
    best: Best
    schedule: Plateau | Cosine
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
        self._losses: list[Any] = []  # of the epoch's last steps, on the device
        self._looked_at = 0  # of the steps before them

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        self._stage.sequence.epoch = self._stage.first_epoch + epoch
        self._losses, self._looked_at = [], 0
        self._began = self._reported = time.monotonic()
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """The loss stays on the device: to ask for its number is to wait for the step, and none would come
        ahead of the other. Twice a minute it is asked for, and where the epoch's steps end."""
        self._losses.append(logs["loss"])
        now = time.monotonic()
        if now - self._reported > _REPORT_SECONDS:
            loss = self._last_loss()
            self._reported = now = time.monotonic()
            pace = (now - self._began) / (batch + 1)
            self._stage.report(
                f"stage {self._stage.number} epoch {self._number}: batch {batch + 1} of "
                f"{len(self._stage.sequence)}, loss {loss:.3f}, {pace:.1f} s per batch"
            )

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        """All steps of an epoch are done: it is not validated where one of them went wrong."""
        if self._losses:
            self._last_loss()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        """Best weights, log, TensorBoard, and last the checkpoint: a crash in between repeats the epoch."""
        stage, number = self._stage, self._number
        seconds = time.monotonic() - self._began
        result = {name: float(logs[key]) for name, key in RESULTS.items()}
        self._refuse_nan(result["loss"], "its end")
        better = stage.best.offer(result["val_accuracy"], result["val_loss"], number)
        if better:
            save_best_weights(self.model, stage.folder)
        stage.folder.append_log(
            Epoch(
                epoch=number,
                stage=stage.number,
                tile_px=stage.tile_px,
                learning_rate=self._learning_rate,
                seconds=seconds,
                **result,
            )
        )
        for name in RESULTS:
            part = "validation" if name.startswith("val_") else "train"
            stage.board.add_scalar(f"{part}/{name.removeprefix('val_')}", result[name], number)
        stage.board.add_scalar("learning_rate", self._learning_rate, number)
        stage.board.flush()
        self.epochs_done += 1
        save_checkpoint(stage.folder, self.model, self.progress())
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
        best, wait, cooldown = stage.schedule.state
        return Progress(
            stage=stage.number,
            stage_epochs=self.epochs_done,
            epochs=stage.first_epoch + self.epochs_done,
            seconds=stage.run_clock.seconds,
            stage_seconds=stage.stage_clock.seconds,
            best_rank=stage.best.rank,
            best_epoch=stage.best.epoch,
            best=best,
            wait=wait,
            cooldown=cooldown,
        )

    @property
    def _number(self) -> int:
        return self._stage.first_epoch + self.epochs_done + 1

    def _last_loss(self) -> float:
        """The loss after the last step; raises TrainingDivergedError for the first that is no number."""
        loss = math.nan
        for step, loss in enumerate(map(float, self._losses), start=self._looked_at + 1):
            self._refuse_nan(loss, f"batch {step}")
        self._losses, self._looked_at = [], self._looked_at + len(self._losses)
        return loss

    def _refuse_nan(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            kept = "best.weights.h5 and checkpoint.npz hold the epochs before"
            raise TrainingDivergedError(
                f"the loss became {loss} in stage {self._stage.number}, epoch {self._number}, {where}: "
                f"expected a finite number; lower the learning rate ({self._learning_rate:.1e}) and train "
                f"again; {kept if self._number > 1 else 'no epoch was finished'}"
            )
