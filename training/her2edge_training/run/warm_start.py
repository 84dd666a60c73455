"""Training that begins with weights that have learnt before, and must not meet their tiles in its scores.

`--from RUN`: the best weights of a former run (here); `--from MODEL.tflite`: a model file's (`former_model`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from her2edge.errors import MissingInputError, OptionError
from her2edge.files import look
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import meets, traces
from her2edge_training.recipe import Recipe
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.former_model import FormerModel
from her2edge_training.run.records import GATE, StartedFrom

if TYPE_CHECKING:
    from her2edge_training.network.sequence import TileSequence  # Keras; a run is read without it

_NETWORK = ("architecture", "se_ratio", "separable_filters", "dense_units", "labels")
_EXPECTED = "the folder of a training run, or a model file made by `her2edge quantize`"


class Start(Protocol):
    """Where a training begins. source: what the run's record says of it."""

    @property
    def source(self) -> StartedFrom:
        """For environment.json."""
        ...

    def refuse_other_network(self, recipe: Recipe) -> None:
        """Raise OptionError where the weights are of another network than the recipe's."""
        ...

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """Raise OptionError where a patient is to be scored whom the weights were trained on or chosen by."""
        ...

    def words(self) -> list[str]:
        """Lines to be said before the training."""
        ...

    def fill(self, network: Any, tiles: TileSequence, sized: Callable[[int], Any], /) -> str | None:
        """Put the weights into a network; a line to be said.

        tiles: some of the training part, as the network trains on them. sized: the network at another tile
        size, pixels, in float32.
        """
        ...


@dataclass(frozen=True)
class FormerRun:
    """A former run: its best weights, how they came to be, and whom they have seen.

    learnt, chosen: traces (see `tile_list.meets`) of its training and of its validation part.
    """

    weights: Path
    recipe: Recipe
    source: StartedFrom
    learnt: frozenset[str]
    chosen: frozenset[str]

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """As `Start` has it."""
        both = self.learnt | self.chosen
        seen = {"validation": self.learnt, "test": both, GATE: both}
        crossing = sorted(
            {r.group for part, own in seen.items() for r in assignment.select(part) if meets(r, own)}
        )
        if crossing:
            raise OptionError(
                f"found {len(crossing)} patients to score whom the former run was trained on or chosen by "
                f"(first {crossing[0]}), expected none: start from other weights or use other slides"
            )

    def refuse_other_network(self, recipe: Recipe) -> None:
        """As `Start` has it."""
        other = [name for name in _NETWORK if getattr(self.recipe, name) != getattr(recipe, name)]
        if other:
            raise OptionError(
                f"found a former run with another {', '.join(other)}, expected the recipe's: start from a "
                "run of the same network"
            )

    def words(self) -> list[str]:
        """Nothing: split and score say it all."""
        return []

    def fill(self, network: Any, _tiles: TileSequence, _sized: Callable[[int], Any]) -> None:
        """As `Start` has it."""
        from her2edge_training.run.weights import load_weights

        load_weights(network, self.weights)


def read_start(path: str | Path) -> Start:
    """Read a run folder, finished or not, or a model file.

    Raises MissingInputError where nothing is there or no epoch was finished, RunFolderError for a damaged
    run, ModelError for a damaged model file, or one whose weights cannot be read back.
    """
    path = Path(path)
    kind = look(path, _EXPECTED, OptionError)
    if kind is None:
        raise MissingInputError(f"nothing at {path}, expected {_EXPECTED}")
    return FormerModel.read(path) if kind == "file" else _former_run(path)


def _former_run(path: Path) -> FormerRun:
    folder = RunFolder.open(path)
    digest, split, recipe = folder.best_weights_sha256(), folder.split(), folder.recipe()
    return FormerRun(
        weights=folder.best_weights,
        recipe=recipe,
        source=StartedFrom(recipe.name, round(folder.seconds(), 1), digest),
        learnt=traces(row for row in split if row.part == "train"),
        chosen=traces(row for row in split if row.part == "validation"),
    )
