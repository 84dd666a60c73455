"""The four networks of the paper's Table II, and the student's, on Keras 3, from raw RGB to logits.

    input (n, t, t, 3) 0..255 RGB -> preprocess -> backbone [-> SE -> separable convolution] = features
    features -> pool -> dense -> dense_bn -> dense_relu -> dropout -> logits (n, classes)

Every layer outside the backbone has a fixed name: the quantiser finds it by that name. Preprocessing is part
of the graph, so the edge sends raw uint8 RGB; softmax is not, it belongs to the SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.files import foreign, look
from her2edge_training.network.backend import keras
from her2edge_training.network.imagenet import initial_backbone, load_weight_file
from her2edge_training.network.mobilenetv4 import mobilenetv4_small
from her2edge_training.network.weight_files import find_weights
from her2edge_training.recipe import ARCHITECTURES, MINIMUM_TILE_PX, Architecture

# ImageNet channel means in RGB order, as the "caffe" mode of keras.applications has them.
IMAGENET_MEAN_RGB = (123.68, 116.779, 103.939)

_BACKBONES: dict[str, Callable[..., Any]] = {
    "se_resnet50": keras.applications.ResNet50,
    "resnet50": keras.applications.ResNet50,
    "efficientnetb0": keras.applications.EfficientNetB0,
    "inceptionv3": keras.applications.InceptionV3,
    "mobilenetv4_small": mobilenetv4_small,
}


# Layers outside the backbone: the paper's two blocks and the head.
_BEHIND = {
    *("se_pool", "se_reduce", "se_expand", "se_reshape", "se_scale", "separable", "separable_bn"),
    *("features", "pool", "dense", "dense_bn", "dense_relu", "dropout", "logits"),
}


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of values. weights = trainable + non_trainable; optimizer_state is what training adds."""

    weights: int
    trainable: int
    non_trainable: int
    optimizer_state: int


def build_model(
    name: str,
    *,
    tile_px: int = 512,
    classes: int = 3,
    weights: str | Path | None = None,
    se_ratio: int = 16,
    separable_filters: int = 512,
    dense_units: int = 256,
    dropout: float = 0.5,
) -> Any:
    """Return a keras.Model: (n, tile_px, tile_px, 3) float32 RGB 0..255 -> (n, classes) float32 logits.

    name:    "se_resnet50" (the paper's), "resnet50", "efficientnetb0", "inceptionv3" or "mobilenetv4_small"
             (a student's).
    weights: None (random), "imagenet" (where Keras keeps them, see weight_files), or a local no-top file of
             keras.applications (`.h5`, `.weights.h5`). For the ResNets its BGR order is folded into the
             first kernel.

    Raises OptionError for a value out of range, MissingInputError where the weights are not there, ModelError
    where they do not fit.
    """
    _check(name, tile_px, classes, se_ratio, separable_filters, dense_units, dropout)
    backbone_type = _BACKBONES[name]
    pixels = keras.Input((tile_px, tile_px, 3), name="pixels")
    backbone = backbone_type(include_top=False, weights=None, input_tensor=preprocess(name, pixels))
    path = find_weights(cast("Architecture", name), weights)
    if path is not None:
        copy_weights(initial_backbone(name, backbone_type, tile_px, path), backbone)
    if name == "se_resnet50":
        features = separable(squeeze_and_excite(backbone.output, se_ratio), separable_filters)
    else:
        features = keras.layers.Activation("linear", name="features")(backbone.output)
    logits = head(features, classes, dense_units, dropout)
    return keras.Model(pixels, logits, name=name)


def check_weights(name: Architecture, path: Path) -> None:
    """Raise ModelError where a file does not hold the weights of this network's backbone."""
    side = MINIMUM_TILE_PX[name]
    backbone = _BACKBONES[name](include_top=False, weights=None, input_shape=(side, side, 3))
    load_weight_file(backbone, path)


def _check(
    name: str, tile_px: int, classes: int, se_ratio: int, filters: int, units: int, dropout: float
) -> None:
    if name not in ARCHITECTURES:
        raise OptionError(f"found network {name!r}, expected one of {', '.join(ARCHITECTURES)}")
    if tile_px < MINIMUM_TILE_PX[name]:
        raise OptionError(f"found tile_px={tile_px}, expected at least {MINIMUM_TILE_PX[name]} for {name}")
    if not 1 <= se_ratio <= 2048:
        raise OptionError(
            f"found se_ratio={se_ratio}, expected 1..2048 (the paper's block has 2048 channels)"
        )
    if min(filters, units) < 1 or classes < 2:
        raise OptionError(
            f"found separable_filters={filters}, dense_units={units}, classes={classes}: "
            "expected at least 1, 1 and 2"
        )
    if not 0 <= dropout < 1:
        raise OptionError(f"found dropout={dropout}, expected a share in 0..1, below 1")


def preprocess(name: str, pixels: Any) -> Any:
    """(n, t, t, 3) RGB 0..255 as the backbone of network `name` expects it, computed in float32.

    EfficientNet brings a Rescaling and a Normalization of its own.
    """
    if name in ("se_resnet50", "resnet50"):
        offset = [-mean for mean in IMAGENET_MEAN_RGB]
        return keras.layers.Rescaling(1.0, offset=offset, name="preprocess", dtype="float32")(pixels)
    if name in ("inceptionv3", "mobilenetv4_small"):
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess", dtype="float32")(pixels)
    return pixels


def squeeze_and_excite(x: Any, ratio: int) -> Any:
    """(n, h, w, c) times one weight 0..1 per channel, from the channel means through c / ratio units.

    Hu et al. 2018, arXiv 1709.01507.
    """
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(name="se_pool")(x)
    gate = keras.layers.Dense(max(1, channels // ratio), activation="relu", name="se_reduce")(gate)
    gate = keras.layers.Dense(channels, activation="sigmoid", name="se_expand")(gate)
    gate = keras.layers.Reshape((1, 1, channels), name="se_reshape")(gate)
    return keras.layers.Multiply(name="se_scale")([x, gate])


def separable(x: Any, filters: int) -> Any:
    """(n, h, w, c) -> (n, h, w, filters), the layer `features`: 3 x 3 per channel, 1 x 1, norm, ReLU."""
    x = keras.layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name="separable")(x)
    x = keras.layers.BatchNormalization(name="separable_bn")(x)
    return keras.layers.ReLU(name="features")(x)


def head(features: Any, classes: int, units: int, dropout: float) -> Any:
    """(n, h, w, c) feature map -> (n, classes) float32 logits, the layers from `pool` on."""
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dense(units, name="dense")(x)
    x = keras.layers.BatchNormalization(name="dense_bn")(x)
    x = keras.layers.ReLU(name="dense_relu")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.layers.Dense(classes, name="logits", dtype="float32")(x)


def copy_weights(source: Any, target: Any) -> None:
    """Copy all weights between two models of one architecture, whatever their tile size."""
    values = source.get_weights()
    try:
        target.set_weights(values)
    except ValueError as error:
        raise ModelError(f"the weights of {source.name} do not fit {target.name}: {error}") from error
    refresh_constants(target)


def refresh_constants(model: Any) -> None:
    """EfficientNet's Normalization computes with constants made from its weights: make them again."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def set_batch_norm_momentum(model: Any, momentum: float) -> None:
    """How slowly the moving statistics follow: Keras' 0.99 needs some 500 steps to be of use."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def freeze_backbone(model: Any) -> None:
    """Keep the backbone's weights and moving statistics as they are in training; compile the model after."""
    for layer in model.layers:
        if layer.name not in _BEHIND:
            layer.trainable = False


def count_parameters(model: Any, optimizer_slots: int = 2) -> ParameterCount:
    """Count the weights, and the optimizer state that training adds (Adam: two values per trainable one)."""
    trainable = sum(_size(weight) for weight in model.trainable_weights)
    total = sum(_size(weight) for weight in model.weights)
    return ParameterCount(total, trainable, total - trainable, optimizer_slots * trainable)


def _size(weight: Any) -> int:
    product = 1
    for side in weight.shape:
        product *= int(side)
    return product


def load_trained(path: str | Path) -> Any:
    """Read RUN/model.keras, always in Keras' safe mode (no code from the file is run)."""
    path, expected = Path(path), "a Keras model, the model.keras of a training run"
    if look(path, expected, ModelError) != "file":
        raise MissingInputError(f"no model at {path}: expected {expected}")
    with foreign(path.name, expected, ModelError):
        return keras.saving.load_model(str(path), safe_mode=True, compile=False)


def check_finite(model: Any) -> None:
    """Raise ModelError naming a layer with a weight that is no number: some processors make 0 of it."""
    for layer in model.layers:
        for weight in layer.weights:
            if not np.isfinite(np.asarray(weight)).all():
                raise ModelError(
                    f"layer {layer.name!r} holds NaN or infinity in {weight.name!r}: "
                    "the training diverged, use an earlier checkpoint"
                )
