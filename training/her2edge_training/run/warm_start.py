"""Training that begins with the weights of a former run, and must not meet that run's tiles in its scores."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import MissingInputError, OptionError
from her2edge.tables import restored
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import group_of
from her2edge_training.network.imagenet import sha256_of
from her2edge_training.recipe import read_recipe


@dataclass(frozen=True)
class Start:
    """A former run: its best weights and their hash, how they came to be, and whom they have seen.

    learnt, chosen: groups (see TileRecord.group) of its training and of its validation part.
    """

    weights: Path
    sha256: str
    recipe: str
    seconds: float
    learnt: frozenset[str]
    chosen: frozenset[str]

    def record(self) -> dict[str, object]:
        """What environment.json says of it."""
        return {"recipe": self.recipe, "seconds": self.seconds, "weights_sha256": self.sha256}

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
    """Read a run folder, finished or not; raises MissingInputError where it has no weights yet."""
    run = Path(run)
    weights = run / "best.weights.h5"
    if not weights.is_file():
        raise MissingInputError(
            f"{run.name}: found no best.weights.h5, expected the folder of a training run"
        )
    try:
        with (run / "split.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise MissingInputError(
            f"{run.name}: found no split.csv and log.csv that can be read ({error}), expected a training run "
            "with an epoch done"
        ) from error
    return Start(
        weights=weights,
        sha256=sha256_of(weights),
        recipe=read_recipe(run / "recipe.json").name,
        seconds=round(seconds, 1),
        learnt=_groups(rows, "train"),
        chosen=_groups(rows, "validation"),
    )


def _groups(rows: list[dict[str, str]], part: str) -> frozenset[str]:
    return frozenset(
        group_of(restored(row["patient"]), restored(row["slide"])) for row in rows if row["part"] == part
    )
