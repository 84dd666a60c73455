"""The stages of a run: networks of growing tile size, each with the weights of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace
from tensorboard.summary import Writer as Board

from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.spread import spread
from her2edge_training.cohort.stains import stain_jitter
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.network.backend import computing_in, jit_compile, keras, random_kept
from her2edge_training.network.networks import (
    build_model,
    copy_weights,
    count_parameters,
    freeze_backbone,
    set_batch_norm_momentum,
)
from her2edge_training.network.norms import retake_norms
from her2edge_training.network.sequence import TileSequence, balanced_weights, typed_errors
from her2edge_training.network.taught import Divergence, TaughtSequence, taught_metrics
from her2edge_training.recipe import Recipe, Stage
from her2edge_training.run.checkpoint import restore, save_checkpoint
from her2edge_training.run.epochs import RESULTS, EpochWatch, Report, StageRun
from her2edge_training.run.limits import Best, Clock
from her2edge_training.run.loading import Loading
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.records import Progress
from her2edge_training.run.schedule import Cosine, Plateau
from her2edge_training.run.teacher import Answer, Lesson
from her2edge_training.run.warm_start import Start
from her2edge_training.run.weights import load_weights, save_best_weights

Build = Callable[[Recipe, int], Any]
_FEW = 32  # tiles, rounded up to whole batches, that tell what norms read


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


@dataclass(frozen=True, eq=False)
class Stages:
    """All stages of a run, and what they share. start: weights it begins with; progress: where it stands.

    lesson: whose answers are learnt; None: labels.
    """

    recipe: Recipe
    assignment: SplitAssignment
    store: TileStore
    folder: NewRun
    options: TrainOptions
    loading: Loading
    build: Build
    start: Start | None
    progress: Progress | None
    clock: Clock
    say: Report
    lesson: Lesson | None = None

    def run(self) -> tuple[Any, int]:
        """Train every stage the clock allows; return the model with the best weights and the epochs done."""
        model, epochs = None, 0
        for number, stage in enumerate(self.recipe.stages, start=1):
            former = self.progress if self.progress and self.progress.stage == number else None
            if self.progress and number < self.progress.stage:
                continue
            if model is not None and self.clock.is_up() and not former:
                self.say(f"stage {number}: left out, time is up")
                break
            model = self._model_at(stage.tile_px, model, self.recipe.precision)
            if epochs == 0:
                self._say_parameters(model)
                if self.start is not None and not former:
                    self._fill(model, self.start, stage)
                elif stage.frozen_backbone and self.recipe.weights is None:
                    self.say(
                        f"stage {number}: the backbone stays at random values, expected weights to start from"
                    )
            if former:
                epochs = former.epochs - former.stage_epochs
            epochs += self._train(model, number, stage, epochs, former)
        return model, epochs

    def _fill(self, model: Any, start: Start, stage: Stage) -> None:
        """Put the weights to start from into the first network."""
        tiles = stage.batch * -(-_FEW // stage.batch)
        few = replace(stage, crops_per_tile=1, tiles_per_epoch=tiles)
        with random_kept():  # or a run that goes on would draw other numbers
            line = start.fill(
                model,
                self._sequence("train", stage.tile_px, stage.batch, few),
                lambda tile_px: self._model_at(tile_px, model, "float32"),
            )
        if line is not None:
            self.say(line)

    def final_network(self, model: Any) -> Any:
        """The finished network: float32, at the recipe's tile size, whatever it was trained in."""
        network = self._model_at(self.recipe.tile_px, model, "float32")
        if self.recipe.norm_tiles is not None:
            self._retake_norms(network, self.recipe.norm_tiles)
        return network

    def _retake_norms(self, network: Any, count: int) -> None:
        """Statistics of `count` whole training tiles, in full batches."""
        random = np.random.default_rng((self.recipe.seed, count))
        records = spread(self.assignment.select("train"), random)[:count]
        batch = min(self.recipe.stages[-1].batch, len(records))
        records = records[: len(records) // batch * batch]
        tiles = self._tiles(records, self.recipe.tile_px, batch)
        retake_norms(network, tiles)
        self.say(f"batch norms have the statistics of {len(records)} whole training tiles")

    def held_out(self, part: str) -> TileSequence:
        """A part at the recipe's tile size."""
        return self._sequence(part, self.recipe.tile_px, self.recipe.stages[-1].batch)

    def _model_at(self, tile_px: int, before: Any, precision: str) -> Any:
        """A network of static size with the weights of the stage before."""
        anew = before is None and self.start is None
        recipe = self.recipe if anew else replace(self.recipe, weights=None)  # others take their place
        with computing_in(precision):
            model = self.build(recipe, tile_px)
        if before is not None:
            copy_weights(before, model)
        if self.recipe.batch_norm_momentum is not None:
            set_batch_norm_momentum(model, self.recipe.batch_norm_momentum)
        return model

    def _train(self, model: Any, number: int, stage: Stage, epochs: int, former: Progress | None) -> int:
        """Train one stage after the run's `epochs`; return the epochs it has had, here and before."""
        limit = min(stage.epochs, self.options.epochs_limit or stage.epochs)
        if stage.frozen_backbone:
            freeze_backbone(model)
        answer = self.lesson.teacher.open(stage.tile_px, self.loading.workers) if self.lesson else None
        training = self._sequence("train", stage.tile_px, stage.batch, stage, answer)
        validation = self._sequence("validation", stage.tile_px, stage.batch, answer=answer)
        self.say(
            f"stage {number} of {len(self.recipe.stages)}: {stage.tile_px} px, at most {limit} epochs of "
            f"{len(training)} batches of {stage.batch}, learning rate {stage.learning_rate:g}"
            + ", backbone frozen"
            * stage.frozen_backbone
        )
        _compile(model, stage, self.lesson)
        last = self.recipe.cosine_warmup is not None
        best = Best(former.best_rank, former.best_epoch, last) if former else Best(last=last)
        if former:
            restore(self.folder, model)
        clock = Clock(stage.minutes, spent=former.stage_seconds if former else 0.0)
        done = former.stage_epochs if former else 0
        with typed_errors(training, validation), closing(Board(str(self.folder.tensorboard))) as board:
            if not former and (epochs or self.start is not None):
                self._offer_weights_that_came_in(model, number, validation, best, epochs)
            schedule = self._schedule(stage, limit, clock, former if done else None)
            run = StageRun(
                self.folder, number, stage.tile_px, epochs, training, best, schedule, self.clock, clock,
                board, self.say,
            )  # fmt: skip
            watch = EpochWatch(run, done)
            if not former:
                # best.weights.h5 will soon hold this stage's: a restart must not go back to the stage before
                model.optimizer.build(model.trainable_variables)
                save_checkpoint(self.folder, model, watch.progress())
            if done < limit and not (done and (clock.is_up() or self.clock.is_up())):
                model.fit(
                    training,
                    validation_data=validation,
                    initial_epoch=done,
                    epochs=limit,
                    callbacks=[schedule, watch],
                    shuffle=False,  # the sequence does it by seed and epoch; Keras' own forgets at a restart
                    verbose=0,
                )
        load_weights(model, self.folder.best_weights)
        return watch.epochs_done

    def _schedule(self, stage: Stage, epochs: int, clock: Clock, former: Progress | None) -> Plateau | Cosine:
        if self.recipe.cosine_warmup is None:
            return Plateau(self.recipe.plateau, former)
        return Cosine(stage.learning_rate, self.recipe.cosine_warmup, epochs, (clock, self.clock))

    def _offer_weights_that_came_in(
        self, model: Any, number: int, validation: TileSequence, best: Best, epochs: int
    ) -> None:
        """They compete too: a stage never makes the run worse."""
        logs = model.evaluate(validation, verbose=0, return_dict=True)
        loss, accuracy = float(logs[RESULTS["loss"]]), float(logs["accuracy"])
        best.offer(accuracy, loss, epochs)
        save_best_weights(model, self.folder)
        self.say(f"stage {number} begins at validation {loss:.3f} {accuracy:.3f}")

    def _sequence(
        self,
        part: str,
        tile_px: int,
        batch: int,
        stage: Stage | None = None,
        answer: Answer | None = None,
    ) -> TileSequence:
        return self._tiles(self.assignment.select(part), tile_px, batch, stage, answer)

    def _tiles(
        self,
        records: Sequence[TileRecord],
        tile_px: int,
        batch: int,
        stage: Stage | None = None,
        answer: Answer | None = None,
    ) -> TileSequence:
        """answer: the teacher's, for batches that hold it in the place of labels."""
        balanced = stage is not None and self.recipe.class_weights == "balanced"
        make: Callable[..., TileSequence] = TileSequence
        if answer is not None and self.lesson is not None:
            make = partial(TaughtSequence, answer=answer, temperature=self.lesson.temperature)
        return make(
            records,
            self.recipe.labels,
            self.store,
            tile_px=tile_px,
            batch=batch,
            training=stage is not None,
            seed=self.recipe.seed,
            crops_per_tile=stage.crops_per_tile if stage else 1,
            tiles_per_epoch=stage.tiles_per_epoch if stage else None,
            augmentations=self.recipe.augmentations,
            jitter=stain_jitter(self.recipe),
            workers=self.loading.workers,
            class_weights=balanced_weights(records, self.recipe.labels) if balanced else None,
        )

    def _say_parameters(self, model: Any) -> None:
        n = count_parameters(model)
        self.say(
            f"{self.recipe.architecture}: {n.weights:,} weights ({n.trainable:,} trainable, "
            f"{n.non_trainable:,} not); optimizer state {n.optimizer_state:,}"
        )


def _compile(model: Any, stage: Stage, lesson: Lesson | None) -> None:
    if lesson is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metrics = [
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseCategoricalCrossentropy(name="entropy", from_logits=True),
        ]
    else:
        loss, metrics = Divergence(lesson.temperature), taught_metrics(lesson.temperature)
    optimizer = keras.optimizers.Adam(stage.learning_rate)
    model.compile(optimizer, loss, weighted_metrics=metrics, jit_compile=jit_compile())
