"""The weights of a model file's network put back into a Keras network, so that training can go on.

Conversion has rewritten the ResNets (`her2edge_quantize.convert.edge`), and each rewrite is undone:

    batch norms         were folded into the layer before them. The bias goes to the norm, which at first only
                        shifts; `settle_norms` then gives it the statistics that training goes on from
    shortcuts           the shortcut and the last 1x1 convolution of a stage's first block were made one over
                        both inputs: its kernel is parted, its bias is the second's
    strides             were moved between convolutions: weights stay
    the packed stem     is the 7x7 kernel with a row and a column of zeros, in another shape

Weights are found by the names that conversion keeps: network_1/conv2_block1_1_conv_1/convolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.runtime import Weights, read_weights
from her2edge.runtime.packing import CHANNELS, COLUMNS
from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import TileSequence, typed_errors

_STEM = "conv1_conv"
_ADDED = re.compile(r"(conv\d+_block\d+)_(0|3)_conv")  # what a block adds, see `shortcuts`
_DEPTHWISE = "DEPTHWISE_CONV_2D"
_ADVICE = "expected a ResNet that `her2edge quantize` converted: start from its run, `--from RUN`"
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A model file's weights by layer; depth-wise ones stand apart: a separable layer has both."""

    layers: Mapping[str, Weights]
    depthwise: Mapping[str, Weights]

    @classmethod
    def read(cls, flatbuffer: bytes) -> StoredNetwork:
        """Read a FlatBuffer of any scheme; raises what `read_weights` does."""
        named = [(_layer_of(own.tensor), own) for own in read_weights(flatbuffer)]
        return cls(
            {name: own for name, own in named if own.kind != _DEPTHWISE},
            {name: own for name, own in named if own.kind == _DEPTHWISE},
        )

    @property
    def squeezed(self) -> tuple[int, int] | None:
        """(units, channels) of the squeeze-and-excitation block; None where there is none."""
        own = self.layers.get("se_reduce")
        return None if own is None else (len(own.kernel), own.kernel.size // len(own.kernel))

    def fill(self, network: Any) -> None:
        """Give a keras.Model of `build_model` these weights; its batch norms only shift then.

        Raises ModelError where a layer has no weights here, or weights of another shape.
        """
        layers = {layer.name: layer for layer in network.layers}
        norms = {name for name, layer in layers.items() if isinstance(layer, keras.layers.BatchNormalization)}
        for name, layer in layers.items():
            if name in norms or not layer.weights:
                continue
            kernels, bias = self._of(layer)
            norm = f"{name.removesuffix('_conv')}_bn"
            if norm in norms:
                one = np.ones_like(bias)
                layers[norm].set_weights([one, bias, 0 * one, one - layers[norm].epsilon])
                bias = np.zeros_like(bias)
            layer.set_weights([*kernels, bias] if layer.use_bias else kernels)

    def _of(self, layer: Any) -> tuple[list[Array], Array]:
        """(kernels, bias) of a layer, as Keras holds them."""
        if not isinstance(layer, keras.layers.SeparableConv2D):
            kernel, bias = self._kernel(layer.name, tuple(layer.kernel.shape))
            return [kernel], bias
        rows, columns, channels, _ = layer.depthwise_kernel.shape
        own = _found(self.depthwise, layer.name)
        _check(layer.name, own.kernel, (1, rows, columns, channels))
        kernel, bias = self._kernel(layer.name, tuple(layer.pointwise_kernel.shape))
        return [np.moveaxis(own.kernel, 0, -1), kernel], bias

    def _kernel(self, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """(kernel of `shape`, outputs last, and bias) of a convolution or dense layer."""
        shortcut = _ADDED.fullmatch(name)
        merged = None if shortcut is None else self.layers.get(f"{shortcut[1]}_merged")
        own = merged or _found(self.layers, name)
        kernel, bias = own.kernel, np.zeros(len(own.kernel), np.float32) if own.bias is None else own.bias
        if shortcut is not None and merged is not None:
            inputs = shape[-2]
            first = shortcut[2] == "0"
            kernel, bias = (kernel[..., :inputs], 0 * bias) if first else (kernel[..., -inputs:], bias)
        if name == _STEM and kernel.shape[-1] == CHANNELS:
            rows, columns, colours, _ = shape
            framed = kernel.reshape(len(kernel), COLUMNS, COLUMNS, colours)
            kernel = framed[:, :rows, :columns]
        _check(name, kernel, (shape[-1], *shape[:-1]))
        return np.moveaxis(kernel, 0, -1), bias


def settle_norms(network: Any, tiles: TileSequence) -> None:
    """Give batch norms the statistics of what they read on some tiles; the function stays the same.

    tiles: of the network's own input size. gamma (x - mean) / sqrt(variance + epsilon) + beta (Ioffe &
    Szegedy 2015, arXiv 1502.03167) is a scale and a shift: where statistics change, gamma and beta follow.
    """
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moments = keras.Model(network.inputs, [part for norm in norms for part in _moments(norm.input)])
    with typed_errors(tiles):
        rows = moments.predict(tiles, verbose=0)
    for norm, means, variances in zip(norms, rows[::2], rows[1::2], strict=True):
        mean = means.mean(axis=0, dtype=np.float64)
        variance = variances.mean(axis=0, dtype=np.float64) + means.var(axis=0, dtype=np.float64)
        gamma, beta, former, spread = (np.asarray(one, np.float64) for one in norm.get_weights())
        scale = gamma / np.sqrt(spread + norm.epsilon)
        gamma, beta = scale * np.sqrt(variance + norm.epsilon), beta + scale * (mean - former)
        norm.set_weights([gamma, beta, mean, variance])


def _moments(x: Any) -> tuple[Any, Any]:
    """(mean, variance) of each sample over its places, if it has any: (n, channels) float32."""
    x = keras.ops.cast(x, "float32")
    if len(x.shape) == 2:
        return x, keras.ops.zeros_like(x)
    places = tuple(range(1, len(x.shape) - 1))
    return keras.ops.mean(x, axis=places), keras.ops.var(x, axis=places)


def _layer_of(tensor: str) -> str:
    """The layer in a kernel's name; dense's is named after its batch norm."""
    scopes = tensor.split("/")
    name = re.sub(r"_\d+$", "", scopes[1]) if len(scopes) > 1 else tensor
    return "dense" if name == "dense_bn" else name


def _found(layers: Mapping[str, Weights], name: str) -> Weights:
    if name not in layers:
        raise ModelError(f"found no weights of layer {name!r} in the model file, {_ADVICE}")
    return layers[name]


def _check(name: str, kernel: Array, shape: tuple[int, ...]) -> None:
    if kernel.shape != shape:
        raise ModelError(f"found weights {kernel.shape} of layer {name!r}, expected {shape}; {_ADVICE}")
