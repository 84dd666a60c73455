"""What runs and studies achieved, side by side: reads their files, trains nothing, needs no Keras.

A run is scored on its own held-out tiles only. The folds of a protocol are scored together: over them every
tile is held out once. A run that claims to keep patients apart and does not is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2edge.errors import MissingInputError, ModelError
from her2edge.files import json_bytes, look
from her2edge_training.evaluation.probe import SiteProbe, mean_probe, probe_sites
from her2edge_training.evaluation.scores import Evaluation, Floats, evaluate, fit_temperature
from her2edge_training.evaluation.slides import SlideEvaluation, evaluate_slides
from her2edge_training.evaluation.study import RECORD, read_study
from her2edge_training.recipe import Recipe
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.records import SplitRow, crossing_groups


@dataclass(frozen=True)
class Curve:
    """One figure over the epochs of a run: (epochs,) on training and on validation tiles."""

    train: tuple[float, ...]
    validation: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Result:
    """One network under one protocol.

    runs: the folders, one for each fold.
    slides: their answers beside their scores.
    train_accuracy: at the epochs whose weights were kept, mean over folds.
    curves: "accuracy" and "loss" of the first fold. site_probe: None where it cannot be made.
    test, temperatures: all held-out tiles with what `evaluation` was computed from, for plots.
    """

    recipe: str
    protocol: str
    runs: tuple[Path, ...]
    train_accuracy: float
    evaluation: Evaluation
    slides: SlideEvaluation
    curves: dict[str, Curve]
    site_probe: SiteProbe | None
    test: Predictions
    temperatures: Floats


def collate(paths: Sequence[Path]) -> list[Result]:
    """Score runs and studies, in the order given; the folds of one network and protocol as one.

    Raises MissingInputError for what is neither, ModelError for files that cannot be read or a split that
    leaks without saying so.
    """
    runs_of: dict[tuple[str, str], list[RunFolder]] = defaultdict(list)
    held_out: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in paths:
        for run in _runs(path):
            recipe, rows = run.recipe(), run.split()
            key = (recipe.name, recipe.split.protocol)
            _refuse_leak(run, recipe, rows)
            tested = {row.tile for row in rows if row.part == "test"}
            if tested & held_out[key]:
                raise ModelError(
                    f"{run.name}: found tiles that another run of {recipe.name} ({recipe.split.protocol}) "
                    "holds out too, expected folds of one study: evaluate the runs separately, or give the "
                    "recipes different names"
                )
            held_out[key] |= tested
            runs_of[key].append(run)
    return [_result(*key, runs) for key, runs in runs_of.items()]


def _runs(path: Path) -> Iterator[RunFolder]:
    if RunFolder(path).holds("recipe.json"):
        yield RunFolder(path)
    elif look(path / RECORD, "a run or a study", ModelError) == "file":
        study = read_study(path)
        runs = [RunFolder(path / recipe / name) for recipe in study.recipes for name, _ in study.splits()]
        missing = [run.path for run in runs if not run.is_finished]
        if missing:
            raise MissingInputError(
                f"{path.name}: found {len(missing)} of {len(runs)} runs unfinished (first "
                f"{missing[0].relative_to(path)}), expected a complete study: run `her2edge study` again to "
                f"resume"
            )
        yield from runs
    else:
        raise MissingInputError(f"{path.name}: found neither a run nor a study: check the path")


def _refuse_leak(run: RunFolder, recipe: Recipe, rows: Sequence[SplitRow]) -> None:
    """Hold the split file against the protocol's promise: no patient or slide in two parts."""
    if recipe.split.protocol == "tile-random":
        return
    crossing = crossing_groups(rows)
    if crossing:
        raise ModelError(
            f"{run.name}: found {len(crossing)} patients or slides in two parts of a {recipe.split.protocol} "
            f"split (first {crossing[0]}), expected none: train again, or name the protocol tile-random"
        )


def _result(recipe: str, protocol: str, runs: list[RunFolder]) -> Result:
    tests, temperatures, accuracies, probes = [], [], [], []
    for run in runs:
        labels = run.recipe().labels
        tests.append(run.predictions("test", labels))
        temperature = fit_temperature(run.predictions("validation", labels))
        temperatures.append(np.full(len(tests[-1].actual), temperature))
        accuracies.append(_train_accuracy(run))
        features = run.features(len(tests[-1].actual))
        probes.append(None if features is None else probe_sites(features, tests[-1].sites, tests[-1].groups))
    test, temperature_of = _together(tests), np.concatenate(temperatures)
    return Result(
        recipe=recipe,
        protocol=protocol,
        runs=tuple(run.path for run in runs),
        train_accuracy=float(np.mean(accuracies)),
        evaluation=evaluate(test, temperature_of),
        slides=evaluate_slides(test, temperature_of, shared=protocol == "tile-random"),
        curves=_curves(runs[0]),
        site_probe=mean_probe(probes),
        test=test,
        temperatures=temperature_of,
    )


def _together(parts: list[Predictions]) -> Predictions:
    fields = ("actual", "logits", "slides", "groups", "sites")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
    return Predictions(labels=parts[0].labels, **joined)


def _train_accuracy(run: RunFolder) -> float:
    """Of the epoch whose weights were kept: the best of the last stage by accuracy, then by loss."""
    epochs = run.log()
    last = [epoch for epoch in epochs if epoch.stage == epochs[-1].stage]
    return max(last, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss)).accuracy


def _curves(run: RunFolder) -> dict[str, Curve]:
    epochs = run.log()
    return {
        "accuracy": Curve(tuple(e.accuracy for e in epochs), tuple(e.val_accuracy for e in epochs)),
        "loss": Curve(tuple(e.loss for e in epochs), tuple(e.val_loss for e in epochs)),
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
            "slides": result.slides,
            "site_probe": result.site_probe,
        }
        for result in results
    ]
    return json_bytes(record)
