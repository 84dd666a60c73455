"""Weights to start from: ImageNet's, from keras.applications' no-top files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from her2edge.errors import ModelError
from her2edge.files import foreign
from her2edge_training.network.backend import keras

# keras.applications divides EfficientNet's input once more by sqrt(stddev) when it loads ImageNet weights
# itself (github.com/tensorflow/tensorflow/issues/49930).
_EFFICIENTNET_STDDEV_RGB = (0.229, 0.224, 0.225)


def initial_backbone(name: str, backbone_type: Callable[..., Any], tile_px: int, path: Path) -> Any:
    """Return a backbone without top whose weights suit an RGB graph: flipped or folded where needed."""
    backbone = backbone_type(include_top=False, weights=None, input_shape=(tile_px, tile_px, 3))
    load_weight_file(backbone, path)
    if name in ("se_resnet50", "resnet50"):
        # The file's first kernel reads BGR; (7, 7, 3, 64) with its input axis reversed reads RGB.
        first = backbone.get_layer("conv1_conv")
        kernel, bias = first.get_weights()
        first.set_weights([kernel[:, :, ::-1, :], bias])
    if name == "efficientnetb0":
        _fold_second_division(backbone)
    return backbone


def load_weight_file(model: Any, path: Path) -> None:
    """`model.load_weights` with errors that say what to do; HDF5 weights only, never a pickled object."""
    expected = f"weights of {model.name} without top"
    with foreign(path.name, expected, ModelError), warnings.catch_warnings():
        # Keras only warns where a file lacks layers, and leaves those layers random.
        warnings.filterwarnings("error", message=".*freshly-initialized", category=UserWarning)
        model.load_weights(str(path))


def _fold_second_division(backbone: Any) -> None:
    """(x - mean) / sqrt(v) / sqrt(s) = (x - mean) / sqrt(v * s): no extra layer in the graph."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            layer.set_weights([mean, variance * _EFFICIENTNET_STDDEV_RGB, count])
