"""Training that begins with the weights of a former run, and must not meet that run's tiles in its scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import OptionError
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import meets, traces
from her2edge_training.recipe import Recipe
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.records import GATE, StartedFrom

_NETWORK = ("architecture", "se_ratio", "separable_filters", "dense_units", "labels")


@dataclass(frozen=True)
class Start:
    """A former run: its best weights, how they came to be, and whom they have seen.

    learnt, chosen: traces (see `tile_list.meets`) of its training and of its validation part.
    """

    weights: Path
    recipe: Recipe
    source: StartedFrom
    learnt: frozenset[str]
    chosen: frozenset[str]

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """Raise OptionError where a patient is to be scored whom the weights were trained on or chosen by."""
        both = self.learnt | self.chosen
        seen = {"validation": self.learnt, "test": both, GATE: both}
        crossing = sorted(
            {r.group for part, own in seen.items() for r in assignment.select(part) if meets(r, own)}
        )
        if crossing:
            raise OptionError(
                f"found {len(crossing)} patients to score whom the former run was trained on or chosen by "
                f"(first {crossing[0]}), expected none: start from other weights or bring other slides"
            )

    def refuse_other_network(self, recipe: Recipe) -> None:
        """Raise OptionError where the weights are of another network than the recipe's."""
        other = [name for name in _NETWORK if getattr(self.recipe, name) != getattr(recipe, name)]
        if other:
            raise OptionError(
                f"found a former run with another {', '.join(other)}, expected the recipe's: start from a "
                "run of the same network"
            )


def read_start(run: str | Path) -> Start:
    """Read a run folder, finished or not; raises MissingInputError where no epoch was finished."""
    folder = RunFolder.open(run)
    digest, split, recipe = folder.best_weights_sha256(), folder.split(), folder.recipe()
    return Start(
        weights=folder.best_weights,
        recipe=recipe,
        source=StartedFrom(recipe.name, round(folder.seconds(), 1), digest),
        learnt=traces(row for row in split if row.part == "train"),
        chosen=traces(row for row in split if row.part == "validation"),
    )
