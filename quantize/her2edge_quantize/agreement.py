"""Do two models say the same? Both run by the SDK's own runtime, on tiles neither has seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from her2edge.errors import MissingInputError
from her2edge.model import Model
from her2edge.probability import probabilities
from her2edge.runtime import open_runtime
from her2edge.tile import Pixels


@dataclass(frozen=True)
class Agreement:
    """n tiles, same_class of them with the same most probable class; probability differences, 0..1."""

    n: int
    same_class: int
    max_difference: float
    mean_difference: float

    @property
    def share(self) -> float:
        """Share of tiles with the same class, 0..1."""
        return self.same_class / self.n

    def __str__(self) -> str:
        return (
            f"same class on {self.same_class} of {self.n} tiles ({100 * self.share:.1f} %), probabilities "
            f"differ by {self.max_difference:.3f} at most, {self.mean_difference:.4f} on average"
        )


def compare(a: Model, b: Model, tiles: Iterable[Pixels], threads: int = 2) -> Agreement:
    """Run both on (tile_px, tile_px, 3) uint8 RGB network inputs; raises MissingInputError without any."""
    runtimes = [(open_runtime("litert", model, threads), model.manifest.temperature) for model in (a, b)]
    pairs = [[probabilities(runtime.logits(tile), t) for runtime, t in runtimes] for tile in tiles]
    if not pairs:
        raise MissingInputError("found no tiles to compare two models on, expected at least one")
    first, second = np.asarray(pairs).transpose(1, 0, 2)
    differences = np.abs(first - second)
    return Agreement(
        n=len(pairs),
        same_class=int(np.count_nonzero(first.argmax(axis=1) == second.argmax(axis=1))),
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
    )
