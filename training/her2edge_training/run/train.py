"""Training: recipe + manifest -> a run folder with a model and what it achieved.

RUN/recipe.json environment.json split.csv    what was done (written first)
RUN/unreadable.csv                            tiles left out because they cannot be read, and why
RUN/log.csv best.weights.h5 checkpoint.npz    while it runs, each whole at any moment
RUN/tensorboard/                              the log's figures as TensorBoard shows them
RUN/model.keras                               at the end: the best weights at full size
RUN/predictions.csv features.npz metrics.json what it says of each tile of validation and test; the scores

The same command in the folder of a run that was killed goes on after its last whole epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.summary import Writer as Board

from her2edge.errors import OptionError
from her2edge_training.cohort.dataset import TileSequence, TileStore, typed_errors
from her2edge_training.cohort.screen import leave_out_unreadable, unreadable_csv, usable
from her2edge_training.cohort.split import SplitAssignment, make_split, split_csv
from her2edge_training.cohort.stains import stain_jitter, stain_normalizer
from her2edge_training.cohort.tile_list import read_tile_list
from her2edge_training.network.backend import computing_in, jit_compile, keras
from her2edge_training.network.devices import check_devices, data_parallel
from her2edge_training.network.networks import (
    build_model,
    copy_weights,
    count_parameters,
    set_batch_norm_momentum,
)
from her2edge_training.recipe import Recipe, Stage, dump_recipe
from her2edge_training.run.checkpoint import (
    Progress,
    read_progress,
    restore,
    save_checkpoint,
)
from her2edge_training.run.environment import environment, weights_hash
from her2edge_training.run.epochs import (
    RESULTS,
    Best,
    Clock,
    EpochWatch,
    Plateau,
    Report,
    StageRun,
    cut_log,
    load_weights,
    save_weights,
)
from her2edge_training.run.finish import RunResult, finish
from her2edge_training.run.folder import open_run_folder
from her2edge_training.run.warm_start import Start, read_start

Build = Callable[[Recipe, int], Any]


def network_of(recipe: Recipe, tile_px: int) -> Any:
    """The recipe's network at one input size, with its weights to start from."""
    return build_model(
        recipe.architecture,
        tile_px=tile_px,
        classes=len(recipe.labels),
        weights=recipe.weights,
        se_ratio=recipe.se_ratio,
        separable_filters=recipe.separable_filters,
        dense_units=recipe.dense_units,
        dropout=recipe.dropout,
    )


def train(
    recipe: Recipe,
    manifest: str | Path,
    out: str | Path,
    *,
    start: str | Path | None = None,
    epochs_limit: int | None = None,
    minutes: float | None = None,
    devices: int = 1,
    workers: int = 1,
    cache_mib: int = 2048,
    report: Report | None = None,
    store: TileStore | None = None,
    build: Build = network_of,
) -> RunResult:
    """Train by the recipe's stages, then score the best weights once on the held-out part.

    start:        folder of a former run whose best weights training begins with; None: the recipe's weights.
    epochs_limit: at most so many epochs in each stage.
    minutes:      after the epoch in which it has taken so long in all, go on to the scores.
    devices:      the first so many devices of JAX share each batch (see devices.py); a run may go on with
                  another number, and its losses are then the same within rounding.
    workers:      threads that prepare batches; more than 1 where tiles do not fit into `cache_mib`.
    cache_mib:    memory for normalised tiles, MiB.
    report:       receives one line at a time; None logs them.

    Raises MissingInputError, TileListError, TileError, SlideReadError for the data, OptionError for the
    recipe, OutputError for the folder, TrainingDivergedError where the loss is no longer a number.
    """
    say = report or logging.getLogger("her2edge").info
    given = {"epochs_limit": epochs_limit, "minutes": minutes, "devices": devices, "workers": workers}
    for name, value in given.items():
        if value is not None and value <= 0:
            raise OptionError(f"found {name}={value}, expected a number above 0")
    _check_weights_hash(recipe)
    records, background = usable(read_tile_list(manifest, recipe.labels), recipe)
    records, unreadable = leave_out_unreadable(records, recipe)
    assignment = make_split(records, recipe.split, recipe.seed)
    check_devices(devices, recipe, len(assignment.select("train")))
    former = read_start(start) if start is not None else None
    if former is not None:
        former.refuse_leak(assignment)
    store = store or TileStore(stain_normalizer(recipe.stain), cache_mib)
    keras.utils.set_random_seed(recipe.seed)

    run = Path(out)
    goes_on = open_run_folder(
        run,
        {
            "recipe.json": dump_recipe(recipe),
            "environment.json": environment(recipe, Path(manifest), former, devices),
            "split.csv": split_csv(assignment),
            "unreadable.csv": unreadable_csv(unreadable),
        },
    )
    progress = read_progress(run) if goes_on else None
    _say_split(assignment, background, say)
    for bad in unreadable:
        say(f"left out: {bad.reason}")
    if goes_on:
        say(f"going on after epoch {progress.epochs}" if progress else "going on from the beginning")
    cut_log(run / "log.csv", progress.epochs if progress else 0)

    clock = Clock(minutes, spent=progress.seconds if progress else 0.0)
    job = _Job(recipe, assignment, store, run, build, former, progress, clock, workers, epochs_limit, say)
    with data_parallel(devices):
        model, epochs = job.run_stages()
        final = job.final_network(model)
        return finish(run, recipe, final, job.held_out, epochs, background, say)


@dataclass(frozen=True)
class _Job:
    """What all stages of a run share."""

    recipe: Recipe
    assignment: SplitAssignment
    store: TileStore
    run: Path
    build: Build
    start: Start | None
    progress: Progress | None
    clock: Clock
    workers: int
    epochs_limit: int | None
    say: Report

    def run_stages(self) -> tuple[Any, int]:
        """Train every stage the clock allows; return the model with the best weights and the epochs done."""
        model, epochs = None, 0
        for number, stage in enumerate(self.recipe.stages, start=1):
            goes_on = self.progress if self.progress and self.progress.stage == number else None
            if self.progress and number < self.progress.stage:
                continue
            if model is not None and self.clock.is_up() and not goes_on:
                self.say(f"stage {number}: left out, time is up")
                break
            model = self._model_at(stage.tile_px, model, self.recipe.precision)
            if epochs == 0:
                self._say_parameters(model)
                if self.start is not None and not goes_on:
                    load_weights(model, self.start.weights)
            if goes_on:
                epochs = goes_on.epochs - goes_on.stage_epochs
            epochs += self._run_stage(model, number, stage, epochs, goes_on)
        return model, epochs

    def _model_at(self, tile_px: int, before: Any, precision: str) -> Any:
        """A network of static size with the weights of the stage before."""
        with computing_in(precision):
            model = self.build(self.recipe, tile_px)
        if before is not None:
            copy_weights(before, model)
        if self.recipe.batch_norm_momentum is not None:
            set_batch_norm_momentum(model, self.recipe.batch_norm_momentum)
        return model

    def _run_stage(self, model: Any, number: int, stage: Stage, epochs: int, goes_on: Progress | None) -> int:
        """Train one stage after the run's `epochs`; return the epochs it has had, here and before."""
        limit = min(stage.epochs, self.epochs_limit or stage.epochs)
        training = self._sequence("train", stage.tile_px, stage.batch, stage)
        validation = self._sequence("validation", stage.tile_px, stage.batch)
        self.say(
            f"stage {number} of {len(self.recipe.stages)}: {stage.tile_px} px, at most {limit} epochs of "
            f"{len(training)} batches of {stage.batch}, learning rate {stage.learning_rate:g}"
        )
        model.compile(
            keras.optimizers.Adam(stage.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[
                keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
                keras.metrics.SparseCategoricalCrossentropy(name="entropy", from_logits=True),
            ],
            jit_compile=jit_compile(),
        )
        best = Best(goes_on.best_rank, goes_on.best_epoch) if goes_on else Best()
        if goes_on:
            restore(self.run, model)
        clock = Clock(stage.minutes, spent=goes_on.stage_seconds if goes_on else 0.0)
        done = goes_on.stage_epochs if goes_on else 0
        with typed_errors(training, validation), closing(Board(str(self.run / "tensorboard"))) as board:
            if not goes_on and (epochs or self.start is not None):
                # the weights that came in compete too: a stage never makes the run worse
                logs = model.evaluate(validation, verbose=0, return_dict=True)
                loss, accuracy = float(logs[RESULTS["loss"]]), float(logs["accuracy"])
                best.offer(accuracy, loss, epochs)
                save_weights(model, self.run / "best.weights.h5")
                self.say(f"stage {number} begins at validation {loss:.3f} {accuracy:.3f}")
            plateau = Plateau(self.recipe.plateau, goes_on if done else None)
            run = StageRun(
                self.run, number, stage.tile_px, epochs, training, best, plateau, self.clock, clock, board,
                self.say,
            )  # fmt: skip
            watch = EpochWatch(run, done)
            if not goes_on:
                # best.weights.h5 will soon hold this stage's: a restart must not go back to the stage before
                model.optimizer.build(model.trainable_variables)
                save_checkpoint(self.run, model, watch.progress())
            if done < limit and not (done and (clock.is_up() or self.clock.is_up())):
                model.fit(
                    training,
                    validation_data=validation,
                    initial_epoch=done,
                    epochs=limit,
                    callbacks=[plateau, watch],
                    shuffle=False,  # the sequence does it by seed and epoch; Keras' own forgets at a restart
                    verbose=0,
                )
        load_weights(model, self.run / "best.weights.h5")
        return watch.epochs_done

    def _sequence(self, part: str, tile_px: int, batch: int, stage: Stage | None = None) -> TileSequence:
        return TileSequence(
            self.assignment.select(part),
            self.recipe.labels,
            self.store,
            tile_px=tile_px,
            batch=batch,
            training=stage is not None,
            seed=self.recipe.seed,
            crops_per_tile=stage.crops_per_tile if stage else 1,
            tiles_per_epoch=stage.tiles_per_epoch if stage else None,
            augmentations=self.recipe.augmentations,
            recolour=stain_jitter(self.recipe),
            workers=self.workers,
        )

    def final_network(self, model: Any) -> Any:
        """The finished network: float32, at the recipe's tile size, whatever it was trained in."""
        return self._model_at(self.recipe.tile_px, model, "float32")

    def held_out(self, part: str) -> TileSequence:
        """A part at the recipe's tile size."""
        return self._sequence(part, self.recipe.tile_px, self.recipe.stages[-1].batch)

    def _say_parameters(self, model: Any) -> None:
        n = count_parameters(model)
        self.say(
            f"{self.recipe.architecture}: {n.weights:,} weights ({n.trainable:,} trainable, "
            f"{n.non_trainable:,} not); optimizer state {n.optimizer_state:,}"
        )


def _check_weights_hash(recipe: Recipe) -> None:
    found = weights_hash(recipe)
    if recipe.weights_sha256 and found and found != recipe.weights_sha256.lower():
        raise OptionError(
            f"{recipe.weights} has sha256 {found}, the recipe expects {recipe.weights_sha256}: fetch it again"
        )


def _say_split(assignment: SplitAssignment, background: int, say: Report) -> None:
    counts = ", ".join(
        f"{part} {len(tiles)} tiles of {len({tile.slide for tile in tiles})} slides"
        for part in ("train", "validation", "test")
        for tiles in [assignment.select(part)]
    )
    say(f"{assignment.protocol} split: {counts}; {background} left out as background")
