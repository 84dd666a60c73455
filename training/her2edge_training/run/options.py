"""What one process of a training is asked for, beside the recipe: none of it changes what the run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import OptionError


@dataclass(frozen=True)
class TrainOptions:
    """start:     training begins with the best weights of a former run (its folder), or with those of a model
                  file (.tflite, of a ResNet); None: the recipe's.
    epochs_limit: at most so many epochs in each stage.
    minutes:      after the epoch in which it has taken so long in all, go on to the scores.
    devices:      the first so many devices of JAX share each batch (see devices.py); a run may go on with
                  another number, and its losses are then the same within rounding.
    download:     fetch ImageNet's weights where the recipe wants them and they are not there.
    workers:      threads that make batches; None: by the machine (loading.py).
    cache_mib:    memory for normalised tiles, MiB; None: by the machine.
    cache:        folder of a tile cache (cohort/tile_cache.py): tiles are decoded once for all trainings.
    """

    start: Path | None = None
    epochs_limit: int | None = None
    minutes: float | None = None
    download: bool = False
    devices: int = 1
    workers: int | None = None
    cache_mib: int | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in ("epochs_limit", "minutes", "devices", "workers"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"found {name}={value}, expected a number above 0")
        if self.cache_mib is not None and self.cache_mib < 0:
            raise OptionError(f"found cache_mib={self.cache_mib}, expected 0 or above")
