"""Training that begins with the weights of a former run, and must not meet that run's tiles in its scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import OptionError
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.records import StartedFrom


@dataclass(frozen=True)
class Start:
    """A former run: its best weights, how they came to be, and whom they have seen.

    learnt, chosen: groups (see TileRecord.group) of its training and of its validation part.
    """

    weights: Path
    source: StartedFrom
    learnt: frozenset[str]
    chosen: frozenset[str]

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """Raise OptionError where a patient is to be scored whom the weights were trained on or chosen by."""
        validation, test = ({r.group for r in assignment.select(part)} for part in ("validation", "test"))
        crossing = sorted((validation & self.learnt) | (test & (self.learnt | self.chosen)))
        if crossing:
            raise OptionError(
                f"found {len(crossing)} patients to score whom the former run was trained on or chosen by "
                f"(first {crossing[0]}), expected none: start from other weights or bring other slides"
            )


def read_start(run: str | Path) -> Start:
    """Read a run folder, finished or not; raises MissingInputError where no epoch was finished."""
    folder = RunFolder.open(run)
    digest, split = folder.best_weights_sha256(), folder.split()
    return Start(
        weights=folder.best_weights,
        source=StartedFrom(folder.recipe().name, round(folder.seconds(), 1), digest),
        learnt=frozenset(row.group for row in split if row.part == "train"),
        chosen=frozenset(row.group for row in split if row.part == "validation"),
    )
