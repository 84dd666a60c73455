"""A small trained run with every kind of layer that the paper's network has, for training for int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from training_data import write_cohort

from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.run.train import train

STAGE = Stage(tile_px=64, epochs=8, learning_rate=1e-2, batch=8)
RECIPE = Recipe("tiny", "se_resnet50", (STAGE,), tile_px=64, stain=Stain("off"), batch_norm_momentum=0.5)


def build(recipe: Recipe, tile_px: int) -> Any:
    """Padding, pooling, a residual, SE, a separable convolution and the usual head; some 2,000 weights."""
    layers = keras.layers
    pixels = keras.Input((tile_px, tile_px, 3), name="pixels")
    x = layers.Rescaling(1 / 64, offset=[-2.0, -1.5, -2.5], name="preprocess")(pixels)
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(8, 3, strides=2, name="stem")(x)
    x = layers.Activation("relu", name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.BatchNormalization(name="conv_bn")(y)
    x = layers.Activation("relu", name="out")(layers.Add(name="add")([x, y]))
    gate = layers.GlobalAveragePooling2D(name="se_pool")(x)
    gate = layers.Dense(4, activation="relu", name="se_reduce")(gate)
    gate = layers.Dense(8, activation="sigmoid", name="se_expand")(gate)
    x = layers.Multiply(name="se_scale")([x, layers.Reshape((1, 1, 8), name="se_reshape")(gate)])
    x = layers.SeparableConv2D(12, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.ReLU(name="features")(layers.BatchNormalization(name="separable_bn")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.BatchNormalization(name="dense_bn")(layers.Dense(8, name="dense")(x))
    x = layers.Dropout(0.2, name="dropout")(layers.ReLU(name="dense_relu")(x))
    return keras.Model(pixels, layers.Dense(len(recipe.labels), name="logits")(x), name="tiny")


def make_run(folder: Path) -> tuple[Path, Path]:
    """(run folder, tile list) of `build` trained for seconds on coloured noise."""
    (folder / "tiles").mkdir()
    tile_list = write_cohort(folder / "tiles", slides=8, tiles=6)
    train(RECIPE, TileList.read(tile_list), folder / "run", report=lambda _line: None, build=build)
    return folder / "run", tile_list


def random_batch_norms(model: Any, seed: int = 0) -> Any:
    """Statistics as no fresh network has them: mean 0 and variance 1 would hide a mistake."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            named = {weight.name: weight for weight in layer.weights}
            for name, weight in named.items():
                low, high = (0.5, 1.5) if name in ("gamma", "moving_variance") else (-0.3, 0.3)
                weight.assign(random.uniform(low, high, weight.shape))
    return model


def hard_to_round(model: Any, factor: float = 400.0) -> Any:
    """The same function with one channel of the feature map `factor` times as large.

    Behind ReLU a scale cancels out with the kernels of the next layer in float only (Nagel et al. 2019, arXiv
    1906.04721, put to bad use): in int8 the other channels are left with few steps.
    """
    norm = model.get_layer("separable_bn")
    gamma, beta, *statistics = norm.get_weights()
    gamma[0] *= factor
    beta[0] *= factor
    norm.set_weights([gamma, beta, *statistics])
    kernel, bias = model.get_layer("dense").get_weights()
    kernel[0] /= factor
    model.get_layer("dense").set_weights([kernel, bias])
    return model
