"""A ResNet with Keras' names and the paper's SE block, of some thousand weights: 2 + 2 + 1 blocks, 64 px."""

from __future__ import annotations

from functools import cache
from typing import Any

import make_tiny_model as tiny
import numpy as np

from her2edge_quantize.convert.converter import require_tensorflow
from her2edge_quantize.convert.edge import for_edge
from her2edge_quantize.convert.export import convert

TILE_PX = tiny.TILE_PX


@cache
def portable() -> bytes:
    """The int8 FlatBuffer, rewritten for the edge, calibrated on made-up tissue."""
    return convert(for_edge(build()), "int8", tiny.network_inputs(12))


def build(tile_px: int = TILE_PX, seed: int = 7) -> Any:
    """Random weights, norms and biases: a weight left out or moved changes the logits."""
    require_tensorflow()
    from her2edge_training.network.backend import keras
    from her2edge_training.network.networks import head, preprocess, separable, squeeze_and_excite

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    pixels = keras.Input((tile_px, tile_px, 3), name="pixels")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(preprocess("se_resnet50", pixels))
    x = layers.Conv2D(8, 7, strides=2, name="conv1_conv")(x)
    x = layers.ReLU(name="conv1_relu")(layers.BatchNormalization(name="conv1_bn")(x))
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(layers.ZeroPadding2D(1, name="pool1_pad")(x))
    for stage, (filters, blocks) in enumerate(((4, 2), (8, 2), (8, 1)), start=2):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 2 and block == 1 else 1
            x = _block(layers, x, filters, strides, block == 1, f"conv{stage}_block{block}")
    x = separable(squeeze_and_excite(x, 4), 16)
    model = keras.Model(pixels, head(x, 3, 8, 0.5), name="tiny_resnet")
    unsettle(model, seed)
    return model


def _block(layers: Any, x: Any, filters: int, strides: int, first: bool, name: str) -> Any:
    shortcut = x
    if first:
        shortcut = layers.Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(x)
        shortcut = layers.BatchNormalization(name=f"{name}_0_bn")(shortcut)
    for part, (kernel, stride) in enumerate(((1, strides), (3, 1)), start=1):
        x = layers.Conv2D(filters, kernel, strides=stride, padding="same", name=f"{name}_{part}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_{part}_bn")(x)
        x = layers.ReLU(name=f"{name}_{part}_relu")(x)
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_3_bn")(x)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))


def unsettle(model: Any, seed: int) -> None:
    """Random biases, gains, means and variances in the place of zeros and ones."""
    from her2edge_training.network.backend import keras

    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            ranges = ((0.6, 1.4), (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5))
            layer.set_weights([random.uniform(low, high, n) for low, high in ranges])
        elif getattr(layer, "bias", None) is not None:
            *others, bias = layer.get_weights()
            layer.set_weights([*others, random.normal(0, 0.1, bias.shape)])


def two_outputs(model: Any, tiles: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """(logits, features) of (n, tile_px, tile_px, 3) tiles."""
    from her2edge_training.network.backend import keras

    both = keras.Model(model.input, [model.output, model.get_layer("features").output])
    logits, features = both(tiles.astype(np.float32), training=False)
    return np.asarray(logits), np.asarray(features)
