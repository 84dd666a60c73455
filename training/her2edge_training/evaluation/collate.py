"""What runs and studies achieved, side by side: reads their files, trains nothing, needs no Keras.

A run is scored on its own held-out tiles only. The folds of a protocol are scored together: over them every
tile is held out once. A run that claims to keep patients apart and does not is refused.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2edge.errors import MissingInputError, ModelError
from her2edge.files import json_bytes
from her2edge.tables import restored
from her2edge_training.cohort.tile_list import group_of
from her2edge_training.evaluation.probe import SiteProbe, mean_probe, probe_sites, read_features
from her2edge_training.evaluation.scores import Evaluation, Floats, evaluate, fit_temperature
from her2edge_training.evaluation.study import RECORD, read_study
from her2edge_training.recipe import Recipe, read_recipe
from her2edge_training.run.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class Curve:
    """One figure over the epochs of a run: (epochs,) on training and on validation tiles."""

    train: tuple[float, ...]
    validation: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Result:
    """One network under one protocol.

    runs: the folders, one for each fold.
    train_accuracy: at the epochs whose weights were kept, mean over folds.
    curves: "accuracy" and "loss" of the first fold. site_probe: None where it cannot be made.
    test, temperatures: all held-out tiles with what `evaluation` was computed from, for plots.
    """

    recipe: str
    protocol: str
    runs: tuple[Path, ...]
    train_accuracy: float
    evaluation: Evaluation
    curves: dict[str, Curve]
    site_probe: SiteProbe | None
    test: Predictions
    temperatures: Floats


def collate(paths: Sequence[Path]) -> list[Result]:
    """Score runs and studies, in the order given; the folds of one network and protocol as one.

    Raises MissingInputError for what is neither, ModelError for files that cannot be read or a split that
    leaks without saying so.
    """
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    held_out: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in paths:
        for run in _runs(path):
            recipe = read_recipe(run / "recipe.json")
            key, rows = (recipe.name, recipe.split.protocol), _split_rows(run)
            _refuse_leak(run, recipe, rows)
            tested = {row["tile"] for row in rows if row["part"] == "test"}
            if tested & held_out[key]:
                raise ModelError(
                    f"{run.name}: found tiles that another run of {recipe.name} ({recipe.split.protocol}) "
                    "holds out, too, expected folds of one study: evaluate them apart, or name the recipes "
                    "differently"
                )
            held_out[key] |= tested
            found[key].append(run)
    return [_result(*key, runs) for key, runs in found.items()]


def _runs(path: Path) -> Iterator[Path]:
    if (path / "recipe.json").is_file():
        yield path
    elif (path / RECORD).is_file():
        study = read_study(path)
        runs = [path / recipe / name for recipe in study.recipes for name, _ in study.splits()]
        missing = [run for run in runs if not (run / "metrics.json").is_file()]
        if missing:
            raise MissingInputError(
                f"{path.name}: found {len(missing)} of {len(runs)} runs unfinished (first "
                f"{missing[0].relative_to(path)}), expected a whole study: repeat `her2edge study` to go on"
            )
        yield from runs
    else:
        raise MissingInputError(f"{path.name}: found neither a run nor a study: check the path")


def _split_rows(run: Path) -> list[dict[str, str]]:
    """RUN/split.csv: tile, slide, patient and part of each tile."""
    try:
        with (run / "split.csv").open(newline="", encoding="utf-8") as file:
            return [
                {name: restored(row[name]) for name in ("tile", "slide", "patient", "part")}
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{run.name}/split.csv cannot be read ({error!r}): train again") from error


def _refuse_leak(run: Path, recipe: Recipe, rows: list[dict[str, str]]) -> None:
    """Hold the split file against the protocol's promise: no patient or slide in two parts."""
    if recipe.split.protocol == "tile-random":
        return
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for group in (group_of(row["patient"], row["slide"]), f"slide:{row['slide']}"):
            parts[group].add(row["part"])
    crossing = sorted(group for group, found in parts.items() if len(found) > 1)
    if crossing:
        raise ModelError(
            f"{run.name}: found {len(crossing)} patients or slides in two parts of a {recipe.split.protocol} "
            f"split (first {crossing[0]}), expected none: train again, or name the protocol tile-random"
        )


def _result(recipe: str, protocol: str, runs: list[Path]) -> Result:
    tests, temperatures, accuracies, probes = [], [], [], []
    for run in runs:
        labels = read_recipe(run / "recipe.json").labels
        tests.append(read_predictions(run, "test", labels))
        temperature = fit_temperature(read_predictions(run, "validation", labels))
        temperatures.append(np.full(len(tests[-1].actual), temperature))
        accuracies.append(_train_accuracy(run))
        features = read_features(run, len(tests[-1].actual))
        probes.append(None if features is None else probe_sites(features, tests[-1].sites, tests[-1].groups))
    test, temperature_of = _together(tests), np.concatenate(temperatures)
    return Result(
        recipe=recipe,
        protocol=protocol,
        runs=tuple(runs),
        train_accuracy=float(np.mean(accuracies)),
        evaluation=evaluate(test, temperature_of),
        curves=_curves(runs[0]),
        site_probe=mean_probe(probes),
        test=test,
        temperatures=temperature_of,
    )


def _together(parts: list[Predictions]) -> Predictions:
    fields = ("actual", "logits", "slides", "groups", "sites")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
    return Predictions(labels=parts[0].labels, **joined)


def _log(run: Path) -> list[dict[str, float]]:
    try:
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ModelError(f"{run.name}/log.csv cannot be read ({error!r}): train again") from error


def _train_accuracy(run: Path) -> float:
    """Of the epoch whose weights were kept: the best of the last stage by accuracy, then by loss."""
    rows = _log(run)
    last = [row for row in rows if row["stage"] == rows[-1]["stage"]]
    return max(last, key=lambda row: (row["val_accuracy"], -row["val_loss"]))["accuracy"]


def _curves(run: Path) -> dict[str, Curve]:
    rows = _log(run)
    return {
        name: Curve(tuple(row[name] for row in rows), tuple(row[f"val_{name}"] for row in rows))
        for name in ("accuracy", "loss")
    }


def to_json(results: Sequence[Result]) -> bytes:
    """Everything but the tiles themselves."""
    record = [
        {
            "recipe": result.recipe,
            "protocol": result.protocol,
            "folds": len(result.runs),
            "train_accuracy": result.train_accuracy,
            "test": result.evaluation,
            "site_probe": result.site_probe,
        }
        for result in results
    ]
    return json_bytes(record)
