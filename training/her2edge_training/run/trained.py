"""A finished training run as conversion reads it: recipe, split, scores, time. Needs no Keras."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import UNSET

from her2edge_training.cohort.label_from import TEACHER
from her2edge_training.cohort.tile_list import UNLABELLED, TileList, TileListError, TileRecord
from her2edge_training.recipe import Recipe
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.records import Environment, Metrics, SplitRow

_FILES = ("model.keras", "recipe.json", "metrics.json", "environment.json", "split.csv", "log.csv")


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run that has ended. split: one row per tile; seconds: spent in its epochs."""

    folder: RunFolder
    recipe: Recipe
    metrics: Metrics
    environment: Environment
    split: tuple[SplitRow, ...]
    seconds: float

    @classmethod
    def read(cls, path: str | Path) -> TrainedRun:
        """Read a run folder, all of it but the network.

        Raises MissingInputError where there is none, RunFolderError where a file is missing or damaged.
        """
        folder = RunFolder.open(path)
        missing = [name for name in _FILES if not folder.holds(name)]
        if missing:
            raise RunFolderError(
                f"found no {missing[0]} in {folder.name}: the training has not finished; train again"
            )
        if not zipfile.is_zipfile(folder.network):
            raise RunFolderError(
                f"{folder.name}/model.keras is no Keras 3 archive, expected one: train again"
            )
        recipe, metrics = folder.recipe(), folder.metrics()
        if recipe.labels != metrics.labels:
            raise RunFolderError(
                f"found labels {recipe.labels} in recipe.json, {metrics.labels} in metrics.json: train again"
            )
        return cls(folder, recipe, metrics, folder.environment(), folder.split(), folder.seconds())

    @property
    def is_student(self) -> bool:
        """Whether it learnt a teacher's answers."""
        return self.environment.taught_by is not UNSET

    @property
    def list_labels(self) -> tuple[str, ...]:
        """Labels that its tile list may have: those of a student may lack one."""
        return (*self.recipe.labels, *(UNLABELLED,) * self.is_student)

    @property
    def network(self) -> Path:
        """model.keras."""
        return self.folder.network

    def select(self, tiles: TileList, part: str) -> tuple[TileRecord, ...]:
        """Tiles of one part of the run's own split, in the tile list's order.

        Raises TileListError for another tile list than the training's: one whose bytes are not the same
        would bring tiles whose part nobody knows.
        """
        if tiles.sha256 != self.environment.tile_list_sha256:
            raise TileListError(
                f"{tiles.path.name} is not the tile list this run was trained with (its SHA-256 differs): "
                "pass the same file, so that training tiles and held-out tiles can be told apart"
            )
        records = {record.tile: record for record in tiles.records}
        own = (UNLABELLED,) if self.is_student else ()
        for row in self.split:
            if row.tile not in records or records[row.tile].label not in (row.label, *own):
                raise RunFolderError(
                    f"split.csv and {tiles.path.name} disagree on tile {row.tile!r}: train again"
                )
        return tuple(_labelled(records[row.tile], row) for row in self.split if row.part == part)


def _labelled(record: TileRecord, row: SplitRow) -> TileRecord:
    """With the teacher's answer for a label where the list has none."""
    return record if record.label else replace(record, label=row.label, label_from=TEACHER)
