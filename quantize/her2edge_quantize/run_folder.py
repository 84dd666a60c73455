"""A training run as the quantiser reads it: recipe, split, scores, time. Needs no Keras."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.tables import restored
from her2edge.tile import LABELS
from her2edge_training.recipe import Recipe, read_recipe

T = TypeVar("T")
PARTS = ("train", "validation", "test")


class Score(msgspec.Struct, frozen=True):
    """Tile-level result of one part, as `her2edge_training.run.metrics.Score` wrote it."""

    accuracy: float
    tiles: int
    slides: int
    patients: int
    per_class: tuple[int, int, int]
    recall: tuple[float, float, float]
    confusion: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


class Metrics(msgspec.Struct, frozen=True):
    """RUN/metrics.json."""

    protocol: Literal["slide-grouped", "tile-random", "site-held-out"]
    labels: tuple[str, ...]
    tile_px: int
    epochs: int
    validation: Score
    test: Score


class StartedFrom(msgspec.Struct, frozen=True):
    """The former run whose best weights a training began with."""

    recipe: str
    seconds: float
    weights_sha256: str


class Environment(msgspec.Struct, frozen=True):
    """RUN/environment.json, as far as it is read here."""

    packages: dict[str, str | None]
    backend: str
    system: str
    manifest_sha256: str
    weights_sha256: str | None = None
    started_from: StartedFrom | None = None


@dataclass(frozen=True)
class Run:
    """A finished training run. seconds: spent in its epochs; parts: tile id -> (label, part)."""

    recipe: Recipe
    metrics: Metrics
    environment: Environment
    parts: dict[str, tuple[str, str]]
    seconds: float
    network: Path


def read_run(folder: Path) -> Run:
    """Read a run folder; raises MissingInputError where there is none, ModelError where it is not whole."""
    if folder.is_file():
        raise ModelError(
            f"found the file {folder.name}, expected the folder of a training run with its model.keras: "
            "HDF5 and pickle files may run code when they are read, so they are never opened"
        )
    if not folder.is_dir():
        raise MissingInputError(f"no run at {folder}: expected the folder `her2edge train --out` made")
    network = folder / "model.keras"
    if not network.is_file():
        raise ModelError(f"found no model.keras in {folder.name}: the training has not ended; train again")
    if not zipfile.is_zipfile(network):
        raise ModelError(f"{folder.name}/model.keras is no Keras 3 archive, expected one: train again")
    try:
        recipe = read_recipe(folder / "recipe.json")
    except (OptionError, MissingInputError) as error:
        raise ModelError(f"{folder.name}: {error}") from error
    metrics = _read_json(folder / "metrics.json", Metrics)
    if recipe.labels != LABELS or metrics.labels != LABELS:
        raise ModelError(f"found a run with labels {recipe.labels} and {metrics.labels}, expected {LABELS}")
    environment = _read_json(folder / "environment.json", Environment)
    return Run(recipe, metrics, environment, _parts(folder), _seconds(folder), network)


def _parts(folder: Path) -> dict[str, tuple[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(_bytes(folder / "split.csv").decode())))
        found = {restored(row["tile"]): (restored(row["label"]), row["part"]) for row in rows}
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{folder.name}/split.csv cannot be read ({error!r}): train again") from error
    if len(found) != len(rows) or not {part for _label, part in found.values()} <= set(PARTS):
        raise ModelError(f"{folder.name}/split.csv lists a tile twice or an unknown part: train again")
    return found


def _seconds(folder: Path) -> float:
    try:
        rows = csv.DictReader(io.StringIO(_bytes(folder / "log.csv").decode()))
        return sum(float(row["seconds"]) for row in rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder.name}/log.csv cannot be read ({error!r}): train again") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"found no {path.name} in the run that can be read: train again") from error


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_bytes(path), type=kind)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path.name} of the run cannot be read ({error}): train again") from error
