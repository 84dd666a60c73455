"""A few epochs at a low learning rate with int8's rounding in the network: its weights learn to bear it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge.probability import probabilities
from her2edge.tile import Pixels
from her2edge_quantize.qat.fake import fake_quantised, float_weights, settle
from her2edge_quantize.qat.options import QatOptions, QatRecord
from her2edge_quantize.qat.toolkit import tf_keras
from her2edge_quantize.qat.twin import copy_back, twin_of
from her2edge_quantize.run_folder import Run, records_of
from her2edge_training.backend import keras
from her2edge_training.dataset import TileSequence, TileStore, stain_normalizer
from her2edge_training.manifest import ManifestError
from her2edge_training.networks import copy_weights
from her2edge_training.watch import Best, Clock, TrainingDivergedError

_TINY = 1e-12  # probability, for logarithms
Report = Callable[[str], None]


def fine_tune(
    network: Any, run: Run, manifest: Path, calibration: Pixels, options: QatOptions, report: Report
) -> tuple[Any, QatRecord]:
    """A copy of the run's network whose weights have been trained with int8's rounding; they are float still.

    network:     the run's keras.Model.
    manifest:    the CSV of tiles the run was trained with; its training part teaches, validation chooses.
    calibration: (n, tile_px, tile_px, 3) uint8 RGB training tiles that set the activations' ranges.

    What is learnt is the float network's own probabilities (distillation, Hinton et al. 2015, arXiv
    1503.02531): int8 shall say what float32 says. With labels the network would go on where its training
    ended and become another one. "Best" is by validation accuracy, then by nearness to float, of the rounded
    network; the weights that came in compete too. Batch norms keep their statistics. The same run, tiles and
    options give the same weights on one machine, where `minutes` does not end it.

    Raises ManifestError for too few tiles, OptionError for crops that do not fit, ModelError for a layer the
    toolkit does not know, TrainingDivergedError where the loss is no number.
    """
    recipe = run.recipe
    tile_px = options.tile_px or recipe.stages[-1].tile_px
    if tile_px > recipe.tile_px:
        raise OptionError(f"found crops of {tile_px} px for training, expected at most {recipe.tile_px}")
    clock = Clock(options.minutes)
    tf_keras.utils.set_random_seed(recipe.seed)
    store = TileStore(stain_normalizer(recipe.stain))
    training = _sequence(run, manifest, "train", store, tile_px, options)
    validation = _sequence(run, manifest, "validation", store, tile_px, options)

    twin = twin_of(network, tile_px)
    rounded = fake_quantised(twin.model)
    settle(rounded, twin.model, _centre(calibration, tile_px))
    loss = tf_keras.losses.CategoricalCrossentropy(from_logits=True)
    rounded.compile(tf_keras.optimizers.Adam(options.learning_rate), loss)
    wanted = [_probabilities(twin.model, validation[i][0]) for i in range(len(validation))]
    best, weights = Best(), rounded.get_weights()
    before = _score(rounded, validation, wanted)
    best.offer(*before, 0)
    report(
        f"training for int8: {tile_px} px, at most {options.epochs} epochs of {len(training)} batches, "
        f"learning rate {options.learning_rate:g}; begins at validation {before[1]:.4f} {before[0]:.3f}"
    )
    epochs = 0
    while epochs < options.epochs and not clock.is_up():
        training.epoch = epochs
        mean = _epoch(rounded, twin.model, training, clock, options)
        epochs += 1
        now = _score(rounded, validation, wanted)
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


def _sequence(
    run: Run, manifest: Path, part: str, store: TileStore, tile_px: int, options: QatOptions
) -> TileSequence:
    records = records_of(run, manifest, part)
    least = options.batch if part == "train" else 1
    if len(records) < least:
        raise ManifestError(
            f"found {len(records)} tiles in the {part} part, expected at least {least} to train for int8: "
            "add tiles, or use the scheme int8, which needs no training"
        )
    return TileSequence(
        records,
        run.recipe.labels,
        store,
        tile_px=tile_px,
        batch=options.batch,
        training=part == "train",
        seed=run.recipe.seed,
        tiles_per_epoch=options.tiles_per_epoch,
        augmentations=run.recipe.augmentations,
    )


def _epoch(rounded: Any, teacher: Any, training: TileSequence, clock: Clock, options: QatOptions) -> float:
    """Mean loss of one pass, which ends where time is up."""
    losses: list[float] = []
    for index in range(len(training)):
        pixels, _labels = training[index]
        loss = float(rounded.train_on_batch(pixels.astype(np.float32), _probabilities(teacher, pixels)))
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss} in epoch {training.epoch + 1}, batch {index + 1}, of training for "
                f"int8: expected a finite number; lower its learning rate ({options.learning_rate:g})"
            )
        losses.append(loss)
        if clock.is_up():
            break
    return float(np.mean(losses))


def _score(rounded: Any, validation: TileSequence, wanted: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Share of tiles whose label is found, 0..1; mean divergence from the `wanted` probabilities, nats."""
    right, divergence = 0, 0.0
    for index, target in enumerate(wanted):
        pixels, labels = validation[index]
        found = _probabilities(rounded, pixels)
        right += int(np.count_nonzero(found.argmax(axis=1) == labels))
        divergence += float((target * (np.log(target + _TINY) - np.log(found + _TINY))).sum())
    count = len(validation.records)
    return right / count, divergence / count


def _probabilities(model: Any, pixels: Pixels) -> NDArray[np.float32]:
    """(n, classes) float32 of (n, t, t, 3) uint8 RGB."""
    return probabilities(np.asarray(model.predict_on_batch(pixels.astype(np.float32))), 1.0)


def _centre(tiles: Pixels, side: int) -> Pixels:
    top = (tiles.shape[1] - side) // 2
    return tiles[:, top : top + side, top : top + side]
