"""What one process of a training is asked for, beside the recipe: none of it changes what the run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import OptionError


@dataclass(frozen=True)
class TrainOptions:
    """start:     folder of a former run whose best weights training begins with; None: the recipe's weights.
    epochs_limit: at most so many epochs in each stage.
    minutes:      after the epoch in which it has taken so long in all, go on to the scores.
    devices:      the first so many devices of JAX share each batch (see devices.py); a run may go on with
                  another number, and its losses are then the same within rounding.
    download:     fetch ImageNet's weights where the recipe wants them and they are not there.
    workers:      threads that prepare batches; more than 1 where tiles do not fit into `cache_mib`.
    cache_mib:    memory for normalised tiles, MiB.
    """

    start: Path | None = None
    epochs_limit: int | None = None
    minutes: float | None = None
    download: bool = False
    devices: int = 1
    workers: int = 1
    cache_mib: int = 2048

    def __post_init__(self) -> None:
        for name in ("epochs_limit", "minutes", "devices", "workers"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"found {name}={value}, expected a number above 0")
        if self.cache_mib < 0:
            raise OptionError(f"found cache_mib={self.cache_mib}, expected 0 or above")
