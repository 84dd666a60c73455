"""Fewer different weights, so that a compressed model file is smaller: pruning, then clustering.

pruning      the smallest weights of each kernel become zero (Zhu & Gupta 2017, arXiv 1710.01878)
clustering   the others of a kernel take one of a few values (Han et al. 2016, arXiv 1510.00149)

Both by TensorFlow Model Optimization, on the twin, with a few epochs of distillation after each. The model is
not faster: no runtime here skips zeros, and the file on disk is as large until something compresses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from her2edge_quantize.qat.distil import (
    crop_px,
    freeze_batch_norms,
    one_epoch,
    prepare,
    score,
    sequence,
    soft,
)
from her2edge_quantize.qat.options import PruneOptions, PruneRecord
from her2edge_quantize.qat.toolkit import tf_keras, tfmot
from her2edge_quantize.qat.twin import Twin, copy_back, twin_of
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import copy_weights
from her2edge_training.run.epochs import Report
from her2edge_training.run.limits import Clock
from her2edge_training.run.trained import TrainedRun

_THINNED = ("Conv2D", "Dense")  # depthwise kernels are small, and the toolkit has no clusters for them
_KEPT = ("logits",)


def prune(
    network: Any, run: TrainedRun, cohort: TileList, options: PruneOptions, report: Report
) -> tuple[Any, PruneRecord]:
    """A copy of the run's keras.Model with pruned and clustered kernels, trained to say what it said.

    cohort: the tiles the run was trained with; its training part teaches, validation is scored.
    Raises TileListError, OptionError, ModelError and TrainingDivergedError as `fine_tune` does.
    """
    training = options.training
    tile_px = crop_px(run, training)
    tf_keras.utils.set_random_seed(run.recipe.seed)
    store = TileStore(stain_normalizer(run.recipe.stain))
    tiles = sequence(run, cohort, "train", store, tile_px, training)
    validation = sequence(run, cohort, "validation", store, tile_px, training)
    teacher, student = twin_of(network, tile_px), twin_of(network, tile_px)
    wanted = [soft(teacher.model, validation[i][0]) for i in range(len(validation))]
    clock = Clock(training.minutes)
    before = after = score(teacher.model, validation, wanted)

    def teach(model: Any, steps: Any) -> Any:
        prepare(model, training)
        steps.set_model(model)
        steps.on_train_begin()
        for epoch in range(training.epochs):
            if epoch and clock.is_up():
                break  # not before the first step, which chooses the zeros
            tiles.epoch = epoch
            one_epoch(model, teacher.model, tiles, clock)
        steps.on_epoch_end(training.epochs)
        return model

    def told(what: str, model: Any) -> tuple[float, float]:
        found = score(model, validation, wanted)
        report(f"{what}: validation {found[1]:.4f} {found[0]:.3f}, {clock.seconds:.0f} s")
        return found

    model = student.model
    freeze_batch_norms(model)
    if options.sparsity is not None:
        model = _pruned(model, options.sparsity, teach)
        after = told("pruned", model)
    if options.clusters is not None:
        model = _clustered(model, options.clusters, teach)
        after = told("clustered", model)
    thinned = keras.models.clone_model(network)
    copy_weights(network, thinned)
    copy_back(Twin(model, student.holders), thinned)
    kernels = [np.asarray(layer.kernel) for layer in model.layers if _is_thinned(layer)]
    zero = sum(np.count_nonzero(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels)
    values = max(len(np.unique(kernel)) for kernel in kernels)
    return thinned, PruneRecord(float(zero), values, before[0], after[0])


def _pruned(model: Any, sparsity: float, teach: Callable[[Any, Any], Any]) -> Any:
    """The model with a share of each kernel at zero; the toolkit chooses which anew at each step."""
    toolkit = tfmot.sparsity.keras
    schedule = toolkit.ConstantSparsity(sparsity, begin_step=0, frequency=1)
    student = _wrapped(model, lambda layer: toolkit.prune_low_magnitude(layer, schedule))
    return toolkit.strip_pruning(teach(student, toolkit.UpdatePruningStep()))


def _clustered(model: Any, clusters: int, teach: Callable[[Any, Any], Any]) -> Any:
    """The model with `clusters` different values in each kernel, zeros staying zero."""
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster

    toolkit = tfmot.clustering.keras
    start = toolkit.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrap(layer: Any) -> Any:
        return cluster.cluster_weights(
            layer, number_of_clusters=clusters, cluster_centroids_init=start, preserve_sparsity=True
        )

    return toolkit.strip_clustering(teach(_wrapped(model, wrap), tf_keras.callbacks.Callback()))


def _wrapped(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """The same layers, sharing their weights with `model`, the thinned ones inside the toolkit's wrapper."""
    return tf_keras.models.clone_model(
        model, clone_function=lambda layer: wrap(layer) if _is_thinned(layer) else layer
    )


def _is_thinned(layer: Any) -> bool:
    return type(layer).__name__ in _THINNED and layer.name not in _KEPT
