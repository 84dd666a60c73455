"""A few epochs at a low learning rate with int8's rounding in the network: its weights learn to bear it."""

from __future__ import annotations

from typing import Any

from her2edge.tile import Pixels
from her2edge_quantize.qat.distil import crop_px, one_epoch, prepare, score, sequence, soft
from her2edge_quantize.qat.fake import fake_quantised, float_weights, settle
from her2edge_quantize.qat.options import QatOptions, QatRecord
from her2edge_quantize.qat.toolkit import tf_keras
from her2edge_quantize.qat.twin import copy_back, twin_of
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import copy_weights
from her2edge_training.run.epochs import Report
from her2edge_training.run.limits import Best, Clock
from her2edge_training.run.trained import TrainedRun


def fine_tune(
    network: Any, run: TrainedRun, tiles: TileList, calibration: Pixels, options: QatOptions, report: Report
) -> tuple[Any, QatRecord]:
    """A copy of the run's network whose weights have been trained with int8's rounding; they are float still.

    network:     the run's keras.Model.
    tiles:       those the run was trained with; its training part teaches, validation chooses.
    calibration: (n, tile_px, tile_px, 3) uint8 RGB training tiles that set the activations' ranges.

    What is learnt is the float network's own probabilities: int8 shall say what float32 says. "Best" is by
    validation accuracy, then by nearness to float, of the rounded network; the weights that came in compete
    too. Batch norms keep their statistics. The same run, tiles and options give the same weights on one
    machine, where `minutes` does not end it.

    Raises TileListError for too few tiles, OptionError for crops that do not fit, ModelError for a layer the
    toolkit does not know, TrainingDivergedError where the loss is no number.
    """
    recipe = run.recipe
    tile_px = crop_px(run, options)
    clock = Clock(options.minutes)
    tf_keras.utils.set_random_seed(recipe.seed)
    store = TileStore(stain_normalizer(recipe.stain))
    training = sequence(run, tiles, "train", store, tile_px, options)
    validation = sequence(run, tiles, "validation", store, tile_px, options)

    teacher, twin = twin_of(network, tile_px), twin_of(network, tile_px)
    rounded = fake_quantised(twin.model)
    settle(rounded, twin.model, _centre(calibration, tile_px))
    prepare(rounded, options)
    wanted = [soft(teacher.model, validation[i][0]) for i in range(len(validation))]
    best, weights = Best(), rounded.get_weights()
    before = score(rounded, validation, wanted)
    best.offer(*before, 0)
    report(
        f"training for int8: {tile_px} px, at most {options.epochs} epochs of {len(training)} batches, "
        f"learning rate {options.learning_rate:g}; begins at validation {before[1]:.4f} {before[0]:.3f}"
    )
    epochs = 0
    while epochs < options.epochs and not clock.is_up():
        training.epoch = epochs
        mean = one_epoch(rounded, teacher.model, training, clock)
        epochs += 1
        float_weights(rounded, twin.model)  # judged with the ranges that the converter will find, not the
        settle(rounded, twin.model, _centre(calibration, tile_px))  # trained ones, which may cut values off
        now = score(rounded, validation, wanted)
        better = best.offer(*now, epochs)
        weights = rounded.get_weights() if better else weights
        report(
            f"epoch {epochs}: loss {mean:.4f}, validation {now[1]:.4f} {now[0]:.3f}"
            f"{' (best)' if better else ''}, {clock.seconds:.0f} s"
        )
    rounded.set_weights(weights)
    float_weights(rounded, twin.model)
    trained = keras.models.clone_model(network)
    copy_weights(network, trained)
    copy_back(twin, trained)
    return trained, QatRecord(
        epochs, best.epoch, options.learning_rate, tile_px, len(training.records), before[0], best.rank[0]
    )


def _centre(tiles: Pixels, side: int) -> Pixels:
    top = (tiles.shape[1] - side) // 2
    return tiles[:, top : top + side, top : top + side]
