"""What training for int8 did, as manifest and card say it. Needs neither TensorFlow nor the toolkit."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.text import percent

QAT_TOOLS = ("tensorflow-model-optimization", "tf-keras")


@dataclass(frozen=True)
class QatRecord:
    """What training for int8 did.

    epochs, best_epoch: done, and the best of them (0: the weights that came in). tile_px: side of the crops,
    pixels. tiles: of the training part. accuracy_before, accuracy: of the rounded network on the validation
    part, before and at its best, 0..1.
    """

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
            f"rounded network's validation accuracy was {percent(self.accuracy_before, 2)} before, "
            f"{percent(self.accuracy, 2)} at its best (epoch {self.best_epoch})"
        )
