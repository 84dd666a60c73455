"""A few epochs at a low learning rate with int8's rounding in the network: its weights learn to bear it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.tile import Pixels
from her2edge_quantize.options import QatOptions, Report
from her2edge_quantize.qat.distil import crop_px, one_epoch, prepare, score, sequence, soft
from her2edge_quantize.qat.fake import fake_quantised, float_weights, settle
from her2edge_quantize.qat.record import QatRecord
from her2edge_quantize.qat.toolkit import tf_keras
from her2edge_quantize.qat.twin import copy_back, twin_of
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import copy_weights
from her2edge_training.network.sequence import TileSequence
from her2edge_training.run.limits import Best, Clock
from her2edge_training.run.trained import TrainedRun


def fine_tune(
    network: Any,
    run: TrainedRun,
    tiles: TileList,
    calibration: Pixels,
    options: QatOptions,
    report: Report,
    store: TileStore | None = None,
) -> tuple[Any, QatRecord]:
    """A copy of the run's network whose weights have been trained with int8's rounding; they are float still.

    network:     the run's keras.Model.
    tiles:       the list the run was trained with; its training part teaches, validation chooses.
    calibration: (n, tile_px, tile_px, 3) uint8 RGB training tiles that set the activations' ranges.
    store:       reads the tiles; None: one of its own.

    What is learnt is the float network's own probabilities: int8 shall say what float32 says. "Best" is by
    validation accuracy, then by nearness to float, of the rounded network; the weights that came in compete
    too. Batch norms keep their statistics. The same run, tiles and options give the same weights on one
    machine, where `minutes` does not end it.

    Raises TileListError for too few tiles, OptionError for crops that do not fit, ModelError for a layer the
    toolkit does not know, TrainingDivergedError where the loss is no number.
    """
    tile_px = crop_px(run, options)
    clock = Clock(options.minutes)
    tf_keras.utils.set_random_seed(run.recipe.seed)
    store = store or TileStore(stain_normalizer(run.recipe.stain))
    training = sequence(run, tiles, "train", store, tile_px, options)
    validation = sequence(run, tiles, "validation", store, tile_px, options)
    lesson = _Lesson(network, _centre(calibration, tile_px), validation, options)
    report(
        f"training for int8: {tile_px} px, at most {options.epochs} epochs of {len(training)} batches, "
        f"learning rate {options.learning_rate:g}; begins at validation {lesson.last}"
    )
    epochs = 0
    while epochs < options.epochs and not clock.is_up():
        training.epoch = epochs
        loss, better = lesson.epoch(training, clock)
        epochs += 1
        report(
            f"epoch {epochs}: loss {loss:.4f}, validation {lesson.last}{' (best)' if better else ''}, "
            f"{clock.seconds:.0f} s"
        )
    rate, count = options.learning_rate, len(training.records)
    before, best = lesson.before, lesson.best
    record = QatRecord(epochs, best.epoch, rate, tile_px, count, before, best.rank[0])
    return lesson.trained(network), record


class _Lesson:
    """A network that teaches, its rounded twin that learns, and the best weights so far.

    calibration: (n, t, t, 3) uint8 RGB crops that set the ranges. before: accuracy of the rounded network as
    it came in, 0..1.
    """

    def __init__(
        self, network: Any, calibration: Pixels, validation: TileSequence, options: QatOptions
    ) -> None:
        tile_px = calibration.shape[1]
        self._calibration, self._validation = calibration, validation
        self._teacher, self._twin = twin_of(network, tile_px), twin_of(network, tile_px)
        self._rounded = fake_quantised(self._twin.model)
        settle(self._rounded, self._twin.model, calibration)
        prepare(self._rounded, options)
        self._wanted = [soft(self._teacher.model, validation[i][0]) for i in range(len(validation))]
        self.best = Best()
        self._weights: list[NDArray[np.float32]] = []
        self._offer(0)
        self.before = self.best.rank[0]

    def epoch(self, training: TileSequence, clock: Clock) -> tuple[float, bool]:
        """The mean loss of one more pass, and whether its weights are the best so far."""
        loss = one_epoch(self._rounded, self._teacher.model, training, clock)
        # judged with the ranges that the converter will find, not the trained ones, which may cut values off
        float_weights(self._rounded, self._twin.model)
        settle(self._rounded, self._twin.model, self._calibration)
        return loss, self._offer(training.epoch + 1)

    def trained(self, network: Any) -> Any:
        """A copy of the network with the best weights."""
        self._rounded.set_weights(self._weights)
        float_weights(self._rounded, self._twin.model)
        copy = keras.models.clone_model(network)
        copy_weights(network, copy)
        copy_back(self._twin, copy)
        return copy

    def _offer(self, epoch: int) -> bool:
        accuracy, divergence = score(self._rounded, self._validation, self._wanted)
        self.last = f"{divergence:.4f} {accuracy:.3f}"
        better = self.best.offer(accuracy, divergence, epoch)
        if better:
            self._weights = self._rounded.get_weights()
        return better


def _centre(tiles: Pixels, side: int) -> Pixels:
    top = (tiles.shape[1] - side) // 2
    return tiles[:, top : top + side, top : top + side]
