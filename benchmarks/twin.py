"""The Keras SE-ResNet50 as a PyTorch module with the same weights, and as an ONNX file made of that.

(1, 3, t, t) float32 RGB 0..255 in, (1, classes) logits out. Written as a PyTorch user would: channels first,
batch norm as its own layer, which ONNX Runtime and OpenVINO fold by themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
EPSILON = 1.001e-5  # of Keras' ResNet; the other batch norms have 1e-3


class Block(nn.Module):
    """Keras' bottleneck: the stride is in the first 1x1."""

    def __init__(self, channels: int, filters: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = Convolution(channels, 4 * filters, 1, stride) if shortcut else nn.Identity()
        self.body = nn.Sequential(
            Convolution(channels, filters, 1, stride),
            nn.ReLU(inplace=True),
            Convolution(filters, filters, 3, 1),
            nn.ReLU(inplace=True),
            Convolution(filters, 4 * filters, 1, 1),
        )

    def forward(self, x: Any) -> Any:
        return torch.relu(self.shortcut(x) + self.body(x))


class Convolution(nn.Sequential):
    """Convolution with a bias and its batch norm."""

    def __init__(self, channels: int, filters: int, side: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(channels, filters, side, stride, padding=side // 2),
            nn.BatchNorm2d(filters, eps=EPSILON),
        )


class Twin(nn.Module):
    """SE-ResNet50 with the weights of a keras.Model of that name."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        from her2edge_training.network.networks import IMAGENET_MEAN_RGB  # with Keras: not for a twin on disk

        mean = torch.tensor(IMAGENET_MEAN_RGB).reshape(1, 3, 1, 1)
        self.register_buffer("mean", mean)
        layers: list[nn.Module] = [Convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, (filters, count) in enumerate(STAGES):
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(Block(channels, filters, stride, shortcut=not block))
                channels = 4 * filters
        self.backbone = nn.Sequential(*layers)
        reduced = model.get_layer("se_reduce").units
        separable = model.get_layer("separable").filters
        units = model.get_layer("dense").units
        self.reduce, self.expand = nn.Linear(channels, reduced), nn.Linear(reduced, channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, separable, 1, bias=False)
        self.separable_bn = nn.BatchNorm2d(separable, eps=model.get_layer("separable_bn").epsilon)
        self.dense, self.logits = nn.Linear(separable, units), nn.Linear(units, 3)
        self.dense_bn = nn.BatchNorm1d(units, eps=model.get_layer("dense_bn").epsilon)
        self._copy(model)
        self.eval()

    def forward(self, pixels: Any) -> Any:
        x = self.backbone(pixels - self.mean)
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3))))))
        x = x * gate[:, :, None, None]
        x = torch.relu(self.separable_bn(self.pointwise(self.depthwise(x))))
        return self.logits(torch.relu(self.dense_bn(self.dense(x.mean((2, 3))))))

    def _copy(self, model: Any) -> None:
        _convolution(self.backbone[0], model, "conv1")
        blocks = iter(self.backbone[3:])
        for stage, (_, count) in enumerate(STAGES, start=2):
            for number in range(1, count + 1):
                block, name = next(blocks), f"conv{stage}_block{number}"
                if number == 1:
                    _convolution(block.shortcut, model, f"{name}_0")
                for place, part in enumerate((0, 2, 4), start=1):
                    _convolution(block.body[part], model, f"{name}_{place}")
        for layer, name in ((self.reduce, "se_reduce"), (self.expand, "se_expand"), (self.dense, "dense"),
                            (self.logits, "logits")):  # fmt: skip
            kernel, bias = model.get_layer(name).get_weights()
            _set(layer.weight, kernel.T)
            _set(layer.bias, bias)
        depthwise, pointwise = model.get_layer("separable").get_weights()
        _set(self.depthwise.weight, depthwise.transpose(2, 3, 0, 1))
        _set(self.pointwise.weight, pointwise.transpose(3, 2, 0, 1))
        _batch_norm(self.separable_bn, model, "separable_bn")
        _batch_norm(self.dense_bn, model, "dense_bn")


def _convolution(pair: Any, model: Any, name: str) -> None:
    kernel, bias = model.get_layer(f"{name}_conv").get_weights()
    _set(pair[0].weight, kernel.transpose(3, 2, 0, 1))
    _set(pair[0].bias, bias)
    _batch_norm(pair[1], model, f"{name}_bn")


def _batch_norm(layer: Any, model: Any, name: str) -> None:
    values = model.get_layer(name).get_weights()
    targets = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    for target, value in zip(targets, values, strict=True):
        _set(target, value)


def _set(target: Any, value: Any) -> None:
    assert tuple(target.shape) == value.shape, (target.shape, value.shape)
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def export_onnx(twin: Twin, tile_px: int, path: Path) -> None:
    """The twin as ONNX, opset 18, batch 1."""
    example = torch.zeros(1, 3, tile_px, tile_px)
    torch.onnx.export(
        twin, (example,), str(path), input_names=["pixels"], output_names=["logits"], opset_version=18,
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


def quantize_onnx(source: Path, out: Path, tiles: Any) -> None:
    """ONNX Runtime's own static int8: QDQ, a scale per channel, calibrated on (n, t, t, 3) uint8 tiles."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Tiles(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self._tiles = iter(tiles)

        def get_next(self) -> dict[str, Any] | None:
            tile = next(self._tiles, None)
            return None if tile is None else {"pixels": channels_first(tile)}

    prepared = out.with_name(f"prepared-{out.name}")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(out), Tiles(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    prepared.unlink()


def channels_first(tile: Any) -> Any:
    """(1, 3, t, t) float32 of a (t, t, 3) uint8 RGB tile."""
    return np.ascontiguousarray(tile.transpose(2, 0, 1)[np.newaxis], dtype=np.float32)
