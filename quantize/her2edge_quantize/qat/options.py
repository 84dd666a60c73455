"""How quantisation-aware training is done, and what it did. Needs neither TensorFlow nor the toolkit."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.errors import OptionError

QAT_TOOLS = ("tensorflow-model-optimization", "tf-keras")


@dataclass(frozen=True)
class QatOptions:
    """epochs:          at most so many passes.
    learning_rate:   of gradient descent with momentum, constant.
    batch:           tiles per step, one crop of each.
    tile_px:         side of the crops, pixels; None means that of the recipe's last stage.
    tiles_per_epoch: a fresh random choice of so many training tiles each epoch; None means all.
    minutes:         no step begins later; scoring and conversion come on top.
    """

    epochs: int = 2
    learning_rate: float = 1e-4
    batch: int = 8
    tile_px: int | None = None
    tiles_per_epoch: int | None = None
    minutes: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch", "tile_px", "tiles_per_epoch", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"found {name}={value} of training for int8, expected a number above 0")


@dataclass(frozen=True)
class QatRecord:
    """What training for int8 did: epochs done and the best of them (0: the weights that came in), crops of
    tile_px, training tiles, validation accuracy of the rounded network before and at its best, 0..1."""

    epochs: int
    best_epoch: int
    learning_rate: float
    tile_px: int
    tiles: int
    accuracy_before: float
    accuracy: float

    def metrics(self) -> dict[str, float]:
        """As the manifest's metrics hold it."""
        return {
            "qat.epochs": float(self.epochs),
            "qat.best_epoch": float(self.best_epoch),
            "qat.learning_rate": self.learning_rate,
            "qat.tile_px": float(self.tile_px),
            "qat.tiles": float(self.tiles),
            "qat.validation_accuracy_before": self.accuracy_before,
            "qat.validation_accuracy": self.accuracy,
        }

    def __str__(self) -> str:
        if self.best_epoch == 0:
            return (
                f"The weights are those of the run: {self.epochs} epochs of training for int8 on "
                f"{self.tiles} training tiles made none better"
            )
        return (
            f"The weights were trained on with int8's rounding: {self.epochs} epochs at learning rate "
            f"{self.learning_rate:g} on {self.tile_px} px crops of {self.tiles} training tiles; the "
            f"rounded network's validation accuracy was {100 * self.accuracy_before:.2f} % before, "
            f"{100 * self.accuracy:.2f} % at its best (epoch {self.best_epoch})"
        )
