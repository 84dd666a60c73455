"""Training: recipe + tile list -> a run folder (see `folder`) with a model and what it achieved.

The same command in the folder of a run that was killed goes on after its last whole epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from her2edge_training.cohort.screen import Screened, refuse_missing_class, screen, usable
from her2edge_training.cohort.split import SplitAssignment, make_split
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.devices import check_devices, data_parallel
from her2edge_training.network.networks import check_weights
from her2edge_training.network.weight_files import IMAGENET, find_weights
from her2edge_training.recipe import Recipe
from her2edge_training.run.environment import environment
from her2edge_training.run.epochs import Report
from her2edge_training.run.finish import RunResult, finish
from her2edge_training.run.hold_back import gate_line, hold_back
from her2edge_training.run.limits import Clock
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.records import GATE, split_rows
from her2edge_training.run.stages import Build, Stages, network_of
from her2edge_training.run.warm_start import read_start


def train(
    recipe: Recipe,
    tiles: TileList,
    out: str | Path,
    options: TrainOptions | None = None,
    *,
    report: Report | None = None,
    store: TileStore | None = None,
    build: Build = network_of,
    opened: Callable[[Path], NewRun] = NewRun,
) -> RunResult:
    """Train by the recipe's stages, then score the best weights once on the held-out part.

    report: receives one line at a time; None logs them.
    store, build, opened: where tiles, networks and the run folder come from; for tests and experiments.

    Raises TileListError, TileError, SlideReadError for the data, OptionError for the recipe, what
    `find_weights` and `read_start` raise, OutputError for the folder, TakenError where another command is at
    work in it, and TrainingDivergedError where the loss is no longer a number.
    """
    options, say = options or TrainOptions(), report or logging.getLogger("her2edge").info
    check_labels(recipe, tiles)
    folder = opened(Path(out))
    with folder.alone():
        return _train(folder, recipe, tiles, options, say, store, build)


def weights_of(recipe: Recipe, options: TrainOptions) -> Path | None:
    """The file that training starts from, None where that is a former run's or random.

    Raises what `find_weights` raises, and ModelError for a file that is not of the recipe's network.
    """
    if options.start is not None:
        return None
    path = find_weights(recipe.architecture, recipe.weights, recipe.weights_sha256, download=options.download)
    if path is not None and recipe.weights != IMAGENET:
        check_weights(recipe.architecture, path)
    return path


def _train(
    folder: NewRun,
    recipe: Recipe,
    tiles: TileList,
    options: TrainOptions,
    say: Report,
    store: TileStore | None,
    build: Build,
) -> RunResult:
    folder.refuse_other()
    weights = weights_of(recipe, options)
    store = store or TileStore(stain_normalizer(recipe.stain), options.cache_mib)
    records, background = usable(tiles.records, recipe)
    refuse_missing_class(records, recipe.labels)
    screened = screen(records, recipe, store, folder.checked())
    assignment = hold_back(make_split(screened.good, recipe.split, recipe.seed))
    check_devices(options.devices, recipe, len(assignment.select("train")))
    former = read_start(options.start) if options.start is not None else None
    if former is not None:
        former.refuse_other_network(recipe)
        former.refuse_leak(assignment)
    store.make_room((*assignment.select("test"), *assignment.select(GATE)))
    keras.utils.set_random_seed(recipe.seed)

    started_from = former.source if former else None
    made_with = environment(recipe, tiles.sha256, weights, started_from, options.devices)
    goes_on = folder.begin(recipe, made_with, split_rows(assignment), screened.unreadable, screened.checked)
    progress = folder.progress() if goes_on else None
    _say_beginning(assignment, background, screened, say)
    if goes_on:
        say(f"going on after epoch {progress.epochs}" if progress else "going on from the beginning")
    folder.cut_log(progress.epochs if progress else 0)

    clock = Clock(options.minutes, spent=progress.seconds if progress else 0.0)
    stages = Stages(recipe, assignment, store, folder, options, build, former, progress, clock, say)
    with data_parallel(options.devices):
        model, epochs = stages.run()
        final = stages.final_network(model)
        return finish(folder, recipe, final, stages.held_out, epochs, background, say)


def check_labels(recipe: Recipe, tiles: TileList) -> None:
    """Raise TileListError unless the labels of the tiles are those of the recipe, each of them."""
    tiles.check_labels(recipe.labels)
    refuse_missing_class(tiles.records, recipe.labels)


def _say_beginning(assignment: SplitAssignment, background: int, screened: Screened, say: Report) -> None:
    counts = ", ".join(
        f"{part} {len(tiles)} tiles of {len({tile.slide for tile in tiles})} slides"
        for part in ("train", "validation", "test")
        for tiles in [assignment.select(part)]
    )
    say(f"{assignment.protocol} split: {counts}; {background} left out as background")
    say(gate_line(assignment))
    for bad in screened.unreadable:
        say(f"left out: {bad.reason}")
