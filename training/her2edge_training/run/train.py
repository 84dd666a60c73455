"""Training: recipe + tile list -> a run folder (see `folder`) with a model and what it achieved.

The same command in the folder of a run that was killed goes on after its last whole epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from her2edge_training.cohort.label_from import label_words
from her2edge_training.cohort.screen import Screened, refuse_missing_class, screen, usable
from her2edge_training.cohort.split import SplitAssignment, make_split
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.stores import Stores
from her2edge_training.cohort.tile_list import UNLABELLED, TileList
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
from her2edge_training.run.loading import Loading
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.records import GATE, split_rows
from her2edge_training.run.stages import Build, Stages, network_of
from her2edge_training.run.taught_tiles import taught_tiles
from her2edge_training.run.teacher import Lesson
from her2edge_training.run.warm_start import read_start

_LEFT_OUT = (
    ", which is too little for all: others are decoded in every epoch unless --cache keeps them on a disk"
)


def train(
    recipe: Recipe,
    tiles: TileList,
    out: str | Path,
    options: TrainOptions | None = None,
    *,
    report: Report | None = None,
    lesson: Lesson | None = None,
    store: TileStore | None = None,
    build: Build = network_of,
    opened: Callable[[Path], NewRun] = NewRun,
) -> RunResult:
    """Train by the recipe's stages, then score the best weights once on the held-out part.

    lesson: a teacher whose answers are learnt in the place of labels (`distil`); tiles need none then.
    report: receives one line at a time; None logs them.
    store, build, opened: where tiles, networks and the run folder come from; for tests and experiments.

    Raises TileListError, TileError, SlideReadError for the data, OptionError for the recipe, what
    `find_weights` and `read_start` raise, OutputError for the folder and that of the tile cache, TakenError
    where another command is at work in the run's, and TrainingDivergedError where the loss is no longer a
    number.
    """
    options, say = options or TrainOptions(), report or logging.getLogger("her2edge").info
    if lesson is None:
        check_labels(recipe, tiles)
    else:
        lesson.teacher.refuse_other_student(recipe)
        tiles.check_labels((*recipe.labels, UNLABELLED))
        recipe = lesson.named(recipe)
    folder, loading = opened(Path(out)), Loading.of(options)
    with folder.alone(), closing(Stores(loading.cache_mib, cache=options.cache, say=say)) as stores:
        folder.refuse_other()
        store = store or stores.of(recipe.stain)
        return _train(folder, recipe, tiles, options, say, store, loading, build, lesson)


def weights_of(recipe: Recipe, options: TrainOptions) -> Path | None:
    """The file that training starts from, None where that is a former run, a model file or nothing.

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
    store: TileStore,
    loading: Loading,
    build: Build,
    lesson: Lesson | None,
) -> RunResult:
    weights = weights_of(recipe, options)
    start = read_start(options.start) if options.start is not None else None
    if start is not None:
        start.refuse_other_network(recipe)
    records, background = usable(tiles.records, recipe)
    if lesson is None:
        refuse_missing_class(records, recipe.labels)
    store.tell(records, recipe.tile_px)
    screened = screen(records, recipe, store, folder.checked(), labelled=lesson is None)
    good, taught_by = screened.good, None
    if lesson is not None:
        taught = taught_tiles(good, recipe, lesson.teacher, store, folder, loading.workers, say)
        refuse_missing_class(taught.records, recipe.labels)
        good, taught_by = taught.records, lesson.record(taught.unlabelled, taught.background)
        background += taught.background
    assignment = hold_back(make_split(good, recipe.split, recipe.seed))
    check_devices(options.devices, recipe, len(assignment.select("train")))
    if start is not None:
        start.refuse_leak(assignment)
    if lesson is not None:
        lesson.refuse_leak(assignment)
    store.make_room((*assignment.select("test"), *assignment.select(GATE)))
    keras.utils.set_random_seed(recipe.seed)

    started_from = start.source if start else None
    sources = None if lesson is None else [record.label_from for record in good]
    made_with = environment(recipe, tiles, weights, started_from, options.devices, taught_by, sources)
    goes_on = folder.begin(recipe, made_with, split_rows(assignment), screened.unreadable, screened.checked)
    progress = folder.progress() if goes_on else None
    _say_beginning(assignment, background, screened, say)
    say(label_words(made_with.label_from))
    say(f"{loading}{_LEFT_OUT * store.is_full}")
    for line in (*(start.words() if start else ()), *(lesson.words() if lesson else ())):
        say(line)
    if goes_on:
        say(f"going on after epoch {progress.epochs}" if progress else "going on from the beginning")
    folder.cut_log(progress.epochs if progress else 0)

    clock = Clock(options.minutes, spent=progress.seconds if progress else 0.0)
    stages = Stages(
        recipe, assignment, store, folder, options, loading, build, start, progress, clock, say, lesson
    )
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
