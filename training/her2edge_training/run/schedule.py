"""How the learning rate of a stage goes: down where validation stands still, or along half a cosine."""

from __future__ import annotations

import math
from typing import Any

from her2edge_training.network.backend import keras
from her2edge_training.recipe import Plateau as PlateauRule
from her2edge_training.run.limits import Clock
from her2edge_training.run.records import Progress


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

    @property
    def state(self) -> tuple[float, int, int]:
        """best, wait, cooldown: what `Progress` keeps."""
        best = -1.0 if self.best is None else float(self.best)
        return best, int(self.wait), int(self.cooldown_counter)


class Cosine(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rate of each epoch by `cosine_rate`; it depends on nothing that a restart forgets."""

    state = (-1.0, 0, 0)

    def __init__(self, rate: float, warmup: int, epochs: int, clocks: tuple[Clock, ...]) -> None:
        super().__init__()
        self._rate, self._warmup, self._epochs, self._clocks = rate, warmup, epochs, clocks

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' form
        spent = max(clock.share for clock in self._clocks)
        self.model.optimizer.learning_rate = cosine_rate(self._rate, self._warmup, epoch, self._epochs, spent)


def cosine_rate(rate: float, warmup: int, epoch: int, epochs: int, spent: float) -> float:
    """The learning rate of an epoch (from 0) out of `epochs`.

    It rises by equal steps for `warmup` epochs, then is rate (1 + cos(pi p)) / 2 (Loshchilov & Hutter 2017,
    arXiv 1608.03983), p the share of the epochs behind the warm-up that are done, or the share of the time
    that is spent, 0..1, whichever is larger.
    """
    if epoch < warmup:
        return rate * (epoch + 1) / (warmup + 1)
    done = (epoch - warmup) / max(1, epochs - warmup)
    return rate * (1 + math.cos(math.pi * min(1.0, max(done, spent)))) / 2
