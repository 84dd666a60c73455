"""Distillation: a student learns to say what the float network says, a pass over training tiles at a time.

Hinton et al. 2015, arXiv 1503.02531. The student is the float network with int8's rounding. With labels it
would go on where training ended and become another network.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge.probability import probabilities
from her2edge.tile import Pixels
from her2edge_quantize.options import QatOptions
from her2edge_quantize.qat.toolkit import tf_keras
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.network.sequence import TileSequence
from her2edge_training.run.errors import TrainingDivergedError
from her2edge_training.run.limits import Clock
from her2edge_training.run.trained import TrainedRun

_TINY = 1e-12  # probability, for logarithms
_MOMENTUM, _CLIP = 0.9, 1.0  # the norm of the largest gradient of a tensor that is followed


def crop_px(run: TrainedRun, options: QatOptions) -> int:
    """Side of the crops, pixels; raises OptionError where the recipe's tiles are smaller."""
    tile_px = options.tile_px or run.recipe.stages[-1].tile_px
    if tile_px > run.recipe.tile_px:
        raise OptionError(f"found crops of {tile_px} px for training, expected at most {run.recipe.tile_px}")
    return tile_px


def sequence(
    run: TrainedRun, tiles: TileList, part: str, store: TileStore, tile_px: int, options: QatOptions
) -> TileSequence:
    """Crops of one part of the run's split; raises TileListError where it has too few tiles."""
    records = run.select(tiles, part)
    least = options.batch if part == "train" else 1
    if len(records) < least:
        raise TileListError(
            f"found {len(records)} tiles in the {part} part, expected at least {least} to train for int8: "
            "add tiles, or use the scheme int8"
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


def prepare(student: Any, options: QatOptions) -> None:
    """Compile a tf_keras student for `one_epoch`."""
    # Not Adam: its steps do not shrink with the gradient, so it moves weights that are right already.
    sgd = tf_keras.optimizers.SGD(options.learning_rate, momentum=_MOMENTUM, clipnorm=_CLIP)
    student.compile(sgd, tf_keras.losses.CategoricalCrossentropy(from_logits=True))


def freeze_batch_norms(student: Any) -> None:
    """Keep their statistics: the network has them from many more tiles than come here."""
    for layer in student.layers:
        if isinstance(getattr(layer, "layer", layer), tf_keras.layers.BatchNormalization):
            layer.trainable = False


def one_epoch(student: Any, teacher: Any, training: TileSequence, clock: Clock) -> float:
    """Mean loss of one pass, which ends where time is up."""
    losses: list[float] = []
    for index in range(len(training)):
        pixels, _labels, _weights = training[index]
        loss = float(student.train_on_batch(pixels.astype(np.float32), soft(teacher, pixels)))
        _refuse_nan(loss, f"epoch {training.epoch + 1}, batch {index + 1}")
        losses.append(loss)
        if clock.is_up():
            break
    return float(np.mean(losses))


def score(student: Any, validation: TileSequence, wanted: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Share of tiles labelled right, 0..1; mean divergence from the `wanted` probabilities, nats."""
    right, divergence = 0, 0.0
    for index, target in enumerate(wanted):
        pixels, labels, weights = validation[index]  # weight 0: fills up the last batch
        given = soft(student, pixels)
        right += int(np.count_nonzero((given.argmax(axis=1) == labels) & (weights > 0)))
        gap = target * (np.log(target + _TINY) - np.log(given + _TINY))
        divergence += float((gap * weights[:, np.newaxis]).sum())
    _refuse_nan(divergence, "validation")
    count = len(validation.records)
    return right / count, divergence / count


def _refuse_nan(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"the loss became {loss} in {where} of training towards float32: expected a finite number; "
            "use a lower learning rate"
        )


def soft(model: Any, pixels: Pixels) -> NDArray[np.float32]:
    """(n, classes) float32 of (n, t, t, 3) uint8 RGB."""
    return probabilities(np.asarray(model.predict_on_batch(pixels.astype(np.float32))), 1.0)
