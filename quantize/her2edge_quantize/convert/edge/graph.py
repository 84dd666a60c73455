"""The ResNets' graph made for the edge: the same function from the same weights, less to compute.

Keras' ResNet50 halves its maps in the first 1x1 convolutions of a stage. They read even positions only, so
three quarters of what the stage before computes last are never used. Two rewrites:

    strides    the last block of a stage computes even positions only: its 3x3 convolution takes stride 2, its
               shortcut is subsampled, the 1x1 convolutions behind it take stride 1. A depth-wise 1x1
               convolution with weights of one subsamples: a strided slice would leave LiteRT's delegate
    shortcuts  the shortcut and the last 1x1 convolution of a stage's first block, which are added, become one
               1x1 convolution over both inputs, batch norms folded in

What needs none: the converter folds the other batch norms and padding "same", and multiplies by the gate of
the SE block without a reshape. Padding that TFLite's "same" cannot say, the ResNets' own (3 before the stem,
1 before the max-pool) and that of `strides`, stays an operator: XNNPACK folds it into the convolution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from her2edge_quantize.convert.converter import require_tensorflow
from her2edge_quantize.convert.fold import fold_batch_norm
from her2edge_quantize.convert.network import check_network

_NAME = re.compile(r"conv(\d+)_block(\d+)_(0_conv|1_conv|2_conv|3_conv|add)")  # keras.applications, version 1


@dataclass(frozen=True)
class Rewrites:
    """Which rewrites are made; see the head of this file."""

    strides: bool = True
    shortcuts: bool = True


def for_edge(model: Any, rewrites: Rewrites | None = None) -> Any:
    """A keras.Model of the same function, with the same names outside the backbone.

    model: as for `export.convert`; it is left alone. A network other than the ResNets is returned as it is.
    rewrites: None: all of them. Raises ModelError for a network that cannot be converted.
    """
    require_tensorflow()
    check_network(model)
    rewriting = _Rewriting(model, rewrites or Rewrites())
    return rewriting.network() if rewriting.merged | rewriting.ends else model


class _Rewriting:
    """What `keras.models.clone_model` asks of each layer, by its name: its clone, and how that is called."""

    def __init__(self, model: Any, rewrites: Rewrites) -> None:
        self._layers = {layer.name: layer for layer in model.layers}
        self._model = model
        self._inputs: dict[str, Any] = {}
        last: dict[int, int] = {}
        for stage, block, _part in filter(None, map(_split, self._layers)):
            last[stage] = max(block, last.get(stage, 0))
        firsts = {(stage, 1) for stage in last}
        self.ends = {end for end in last.items() if end[0] + 1 in last and rewrites.strides}
        self.begins = {(stage + 1, 1) for stage, _block in self.ends}
        self.merged = firsts if rewrites.shortcuts else set()

    def network(self) -> Any:
        """The rewritten network with the weights of the given one."""
        import keras

        network = keras.models.clone_model(self._model, clone_function=self._clone, call_function=self._call)
        for layer in network.layers:
            if layer.name in self._layers:
                layer.set_weights(self._layers[layer.name].get_weights())
            elif layer.name.endswith("_merged"):
                layer.set_weights(self._merged_weights(layer.name.removesuffix("_merged")))
        return network

    def _clone(self, layer: Any) -> Any:
        config = layer.get_config()
        match _split(layer.name):
            case stage, block, "2_conv" if (stage, block) in self.ends:
                config |= {"strides": (2, 2), "padding": "valid"}
            case stage, block, "0_conv" | "1_conv" if (stage, block) in self.begins:
                config |= {"strides": (1, 1)}
        return type(layer).from_config(config)

    def _call(self, layer: Any, inputs: Any, **options: Any) -> Any:
        self._inputs[layer.name] = inputs
        match _split(layer.name):
            case stage, block, "2_conv" if (stage, block) in self.ends:
                inputs = _padded(inputs, layer)
            case stage, block, "add" if (stage, block) in self.ends:
                inputs = [_subsampled(inputs[0], layer), inputs[1]]
            case stage, block, "add" if (stage, block) in self.merged:
                return self._merge(layer)
        return layer(inputs, **options)

    def _merge(self, add: Any) -> Any:
        """One convolution in the place of the shortcut, the last convolution, their norms and `add`."""
        import keras

        name = add.name.removesuffix("_add")
        shortcut, last = self._inputs[f"{name}_0_conv"], self._inputs[f"{name}_3_conv"]
        if shortcut.shape[1] != last.shape[1]:
            shortcut = _subsampled(shortcut, add)
        both = keras.layers.Concatenate(name=f"{name}_both", dtype=add.dtype_policy)([shortcut, last])
        filters = self._layers[f"{name}_3_conv"].filters
        return keras.layers.Conv2D(filters, 1, name=f"{name}_merged", dtype=add.dtype_policy)(both)

    def _merged_weights(self, name: str) -> list[Any]:
        import numpy as np

        (shortcut, bias), (last, other_bias) = (
            fold_batch_norm(self._layers[f"{name}_{part}_conv"], self._layers[f"{name}_{part}_bn"])
            for part in (0, 3)
        )
        return [np.concatenate([shortcut, last], axis=2), bias + other_bias]


def _split(name: str) -> tuple[int, int, str] | None:
    """(stage, block, part) of a ResNet's layer that rewrites look at."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2]), match[3]) if match else None


def _padded(x: Any, convolution: Any) -> Any:
    """Padding of a 3x3 convolution of stride 2, so that its windows are those around even positions."""
    import keras

    sides = tuple((1, size % 2) for size in x.shape[1:3])
    return keras.layers.ZeroPadding2D(sides, name=f"{convolution.name}_pad", dtype=convolution.dtype_policy)(
        x
    )


def _subsampled(x: Any, add: Any) -> Any:
    """Every second row and column, from the first on."""
    import keras

    return keras.layers.DepthwiseConv2D(
        1,
        strides=2,
        use_bias=False,
        depthwise_initializer="ones",
        trainable=False,
        name=f"{add.name}_even",
        dtype=add.dtype_policy,
    )(x)
