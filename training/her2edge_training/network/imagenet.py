"""Weights to start from: ImageNet's, from keras.applications' no-top files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.files import foreign, look
from her2edge_training.network.backend import keras

_HOW = (
    "on a machine with a network download the 'notop' file from "
    "https://storage.googleapis.com/tensorflow/keras-applications/ and pass its path as `weights`, "
    "or use weights=None to start from random values"
)
# keras.applications divides EfficientNet's input once more by sqrt(stddev) when it loads ImageNet weights
# itself (github.com/tensorflow/tensorflow/issues/49930).
_EFFICIENTNET_STDDEV_RGB = (0.229, 0.224, 0.225)


def initial_backbone(name: str, backbone_type: Callable[..., Any], tile_px: int, weights: str | Path) -> Any:
    """Return a backbone without top whose weights suit an RGB graph: flipped or folded where needed."""
    backbone = backbone_type(include_top=False, weights=None, input_shape=(tile_px, tile_px, 3))
    path = _download(name, backbone_type) if str(weights) == "imagenet" else Path(weights)
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
    if not path.name.endswith(".h5"):
        raise OptionError(
            f"found weights={path.name!r}, expected 'imagenet' or the path of a .h5 weight file"
        )
    expected = f"weights of {model.name} without top"
    if look(path, expected, ModelError) != "file":
        raise MissingInputError(f"no weight file at {path}: {_HOW}")
    with foreign(path.name, expected, ModelError), warnings.catch_warnings():
        # Keras only warns where a file lacks layers, and leaves those layers random.
        warnings.filterwarnings("error", message=".*freshly-initialized", category=UserWarning)
        model.load_weights(str(path))


def _download(name: str, backbone_type: Callable[..., Any]) -> Path:
    """Let keras.applications fetch (or find) its own file, then return the cached file's path."""
    try:
        backbone_type(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingInputError(
            f"the ImageNet weights of {name} could not be downloaded ({error}): {_HOW}"
        ) from error
    files = sorted((Path(keras.config.keras_home()) / "models").glob(f"{_FILES[name]}*notop*.h5"))
    if not files:
        raise MissingInputError(f"Keras downloaded the weights of {name} but left no file: {_HOW}")
    return files[-1]


_FILES = {
    "se_resnet50": "resnet50",
    "resnet50": "resnet50",
    "efficientnetb0": "efficientnetb0",
    "inceptionv3": "inception_v3",
}


def _fold_second_division(backbone: Any) -> None:
    """(x - mean) / sqrt(v) / sqrt(s) = (x - mean) / sqrt(v * s): no extra layer in the graph."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            layer.set_weights([mean, variance * _EFFICIENTNET_STDDEV_RGB, count])
