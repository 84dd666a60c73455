"""How quantisation-aware training is done, and what it did. Needs neither TensorFlow nor the toolkit."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.errors import OptionError

QAT_TOOLS = ("tensorflow-model-optimization", "tf-keras")


@dataclass(frozen=True)
class QatOptions:
    """epochs:          at most so many passes; 0 < learning_rate: Adam's, constant.
    batch:           tiles per step, one crop of each.
    tile_px:         side of the crops, pixels; None means that of the recipe's last stage.
    tiles_per_epoch: a fresh random choice of so many training tiles each epoch; None means all.
    minutes:         no step begins later; scoring and conversion come on top.
    """

    epochs: int = 2
    learning_rate: float = 1e-5
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
        return (
            f"{self.epochs} epochs at learning rate {self.learning_rate:g} on {self.tile_px} px crops of "
            f"{self.tiles} training tiles; the rounded network's validation accuracy was "
            f"{100 * self.accuracy_before:.2f} % before, {100 * self.accuracy:.2f} % at its best (epoch "
            f"{self.best_epoch})"
        )
