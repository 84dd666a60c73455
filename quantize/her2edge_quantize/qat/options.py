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


@dataclass(frozen=True)
class PruneOptions:
    """sparsity: share of each kernel that becomes zero, its smallest weights, 0..1; None: none.
    clusters: different values in each kernel, at least 2; None: as many as there are.
    training: what follows each of the two.
    """

    sparsity: float | None = 0.5
    clusters: int | None = 32
    training: QatOptions = QatOptions()

    def __post_init__(self) -> None:
        if self.sparsity is None and self.clusters is None:
            raise OptionError("found neither a share to prune nor a number of clusters, expected one of them")
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise OptionError(f"found a share of {self.sparsity} to prune, expected between 0 and 1")
        if self.clusters is not None and self.clusters < 2:
            raise OptionError(f"found {self.clusters} clusters, expected at least 2")


@dataclass(frozen=True)
class PruneRecord:
    """What pruning and clustering did.

    zeros:  share of zeros in the thinned kernels, 0..1.
    values: the most different values that one kernel has.
    accuracy_before, accuracy: of the float network on the validation part, 0..1.
    """

    zeros: float
    values: int
    accuracy_before: float
    accuracy: float

    def metrics(self) -> dict[str, float]:
        """As the manifest's metrics hold it."""
        return {
            "prune.zeros": self.zeros,
            "prune.values": float(self.values),
            "prune.validation_accuracy_before": self.accuracy_before,
            "prune.validation_accuracy": self.accuracy,
        }

    def __str__(self) -> str:
        return (
            f"The weights were thinned before conversion: {100 * self.zeros:.0f} % of those in kernels are "
            f"zero and no kernel has more than {self.values} different ones; validation accuracy "
            f"{100 * self.accuracy_before:.2f} % before, {100 * self.accuracy:.2f} % after"
        )
