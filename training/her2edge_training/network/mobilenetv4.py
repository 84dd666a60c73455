"""MobileNetV4-Conv-S, the student's backbone: ReLU only and no squeeze-and-excitation, which int8 bears well.

Qin et al. 2024, arXiv 2404.10518. A universal inverted bottleneck is, in this order and each part but the
1 x 1 convolutions optional:

    depth-wise (start), norm -> 1 x 1 (expand), norm, ReLU -> depth-wise (middle), norm, ReLU
    -> 1 x 1 (project), norm [-> added to its input, where both have one shape]

keras.applications has no MobileNetV4, and nobody publishes its ImageNet weights in Keras' form: it starts
from random ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from her2edge_training.network.backend import keras

CHANNELS = 960  # of the feature map, the paper's last convolution before its pooling


@dataclass(frozen=True)
class Convolution:
    """A convolution with norm and ReLU. kernel: side, pixels; stride 2 halves the map."""

    filters: int
    kernel: int
    stride: int = 1


@dataclass(frozen=True)
class Bottleneck:
    """start, middle: side of the depth-wise kernels, pixels, 0 for none. expand: channels inside over those
    that come in. The stride is that of the middle one."""

    filters: int
    start: int
    middle: int
    expand: int
    stride: int = 1


STAGES: tuple[tuple[Convolution | Bottleneck, ...], ...] = (
    (Convolution(32, 3, stride=2),),
    (Convolution(32, 3, stride=2), Convolution(32, 1)),
    (Convolution(96, 3, stride=2), Convolution(64, 1)),
    (
        Bottleneck(96, start=5, middle=5, expand=3, stride=2),
        *(Bottleneck(96, start=0, middle=3, expand=2) for _ in range(4)),
        Bottleneck(96, start=3, middle=0, expand=4),
    ),
    (
        Bottleneck(128, start=3, middle=3, expand=6, stride=2),
        Bottleneck(128, start=5, middle=5, expand=4),
        Bottleneck(128, start=0, middle=5, expand=4),
        Bottleneck(128, start=0, middle=5, expand=3),
        Bottleneck(128, start=0, middle=3, expand=4),
        Bottleneck(128, start=0, middle=3, expand=4),
        Convolution(CHANNELS, 1),
    ),
)


def mobilenetv4_small(
    *,
    include_top: bool = False,  # noqa: ARG001 - the form of keras.applications
    weights: None = None,  # noqa: ARG001
    input_tensor: Any = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Any:
    """The backbone as keras.applications would build it: (n, t, t, 3) -> (n, t / 32, t / 32, CHANNELS)."""
    given = keras.Input(input_shape) if input_tensor is None else input_tensor
    x = given
    for number, stage in enumerate(STAGES, start=1):
        for place, block in enumerate(stage, start=1):
            build = _convolution if isinstance(block, Convolution) else _bottleneck
            x = build(x, block, f"stage{number}_block{place}")
    return keras.Model(keras.utils.get_source_inputs(given), x, name="mobilenetv4_small")


def _convolution(x: Any, block: Any, name: str) -> Any:
    x = keras.layers.Conv2D(
        block.filters, block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _norm(x, f"{name}_conv", relu=True)


def _bottleneck(x: Any, block: Any, name: str) -> Any:
    came_in = x
    if block.start:
        x = _depthwise(x, block.start, 1 if block.middle else block.stride, f"{name}_start", relu=False)
    inside = block.expand * came_in.shape[-1]
    x = keras.layers.Conv2D(inside, 1, use_bias=False, name=f"{name}_expand")(x)
    x = _norm(x, f"{name}_expand", relu=True)
    if block.middle:
        x = _depthwise(x, block.middle, block.stride, f"{name}_middle", relu=True)
    x = keras.layers.Conv2D(block.filters, 1, use_bias=False, name=f"{name}_project")(x)
    x = _norm(x, f"{name}_project", relu=False)
    if came_in.shape != x.shape:
        return x
    return keras.layers.Add(name=f"{name}_add")([came_in, x])


def _depthwise(x: Any, kernel: int, stride: int, name: str, *, relu: bool) -> Any:
    x = keras.layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=name)(x)
    return _norm(x, name, relu=relu)


def _norm(x: Any, name: str, *, relu: bool) -> Any:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x
