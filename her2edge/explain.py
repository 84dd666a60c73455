"""Where a network found what speaks for a class: Grad-CAM, without a gradient.

Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391: the map of class k is relu(sum_c alpha_c * F[:, :, c]),
alpha_c the mean over the feature map's h * w places of d logit_k / d F[:, :, c]. Behind the feature map there
are only a mean and two dense layers (`her2edge.model.file.Head`), so that

    alpha = w1 @ (mask * w2[:, k]) / (h * w),   mask = mean(F) @ w1 + b1 > 0

is the gradient exactly, and any runtime that gives the feature map can explain itself, int8 ones too. Without
the relu the places of a map add up to logit_k less a constant: a place's value is its share of the logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, OptionError, TileError
from her2edge.model.file import Head
from her2edge.tile import Pixels, TileResult, check_pixels

__all__ = ["Explanation"]

OPACITY = 0.5  # of the colours over the tile


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where the network found what speaks for `label` in one tile. It explains the network, not the tissue.

    map:    (rows, columns) float32, 0 or above, in units of the logit: what each place adds to the logit of
            `label`, places that speak against it as 0. The map covers the tile evenly, origin top left.
    label:  the class explained, not always the one predicted.
    result: what `TileClassifier.classify` gives for the tile.
    """

    map: NDArray[np.float32]
    label: str
    result: TileResult

    def overlay(self, pixels: Pixels) -> Pixels:
        """(h, w, 3) uint8 RGB of any size under `scale_colours` of the map, from 0 to its largest value.

        Each map has its own scale: colours of two tiles are not to be compared, `map.max()` is.
        Raises TileError where `pixels` is no such image.
        """
        pixels = check_pixels(pixels)
        height, width = pixels.shape[:2]
        largest = float(self.map.max()) or 1.0  # a map of zeros stays one
        share = cv2.resize(self.map / largest, (width, height), interpolation=cv2.INTER_CUBIC)
        colours = scale_colours(np.clip(share, 0, 1))
        return np.asarray(cv2.addWeighted(pixels, 1 - OPACITY, colours, OPACITY, 0), dtype=np.uint8)


def scale_colours(values: NDArray[Any]) -> Pixels:
    """(..., 3) uint8 RGB of (h, w) values 0..1: viridis, dark blue for 0 to yellow for 1, evenly brighter.

    No edge is seen where there is none, as jet shows them; nor do its hues mean classes.
    """
    levels = np.rint(255 * np.asarray(values)).astype(np.uint8)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), np.uint8
    )


def class_map(features: NDArray[np.float32], head: Head, index: int) -> NDArray[np.float32]:
    """Grad-CAM of class `index`: (rows, columns) float32 from a (rows, columns, channels) float32 map.

    Raises ModelError where the network gave numbers that are not finite.
    """
    rows, columns = features.shape[:2]
    mask = features.mean(axis=(0, 1)) @ head.w1 + head.b1 > 0
    return weighted_map(features, head.w1 @ (mask * head.w2[:, index]) / (rows * columns))


def weighted_map(features: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """relu(sum over channels of weights * features): (rows, columns) float32; raises ModelError as above."""
    total = features.astype(np.float64) @ weights.astype(np.float64)
    if not np.isfinite(total).all():
        raise ModelError(
            "found a feature map that is not finite, expected numbers: the network's weights are damaged, "
            "train or quantise it again"
        )
    return np.maximum(total, 0).astype(np.float32)


def label_index(label: str, labels: tuple[str, ...]) -> int:
    """Place of `label` among `labels`; raises OptionError for another."""
    if label not in labels:
        raise OptionError(f"found class {label!r}, expected one of {', '.join(labels)}")
    return labels.index(label)


def background_error(result: TileResult) -> TileError:
    """The error of a tile that the tissue filter held back from the network."""
    return TileError(
        f"found a background tile (tissue fraction {result.tissue_fraction or 0:.2f}), expected tissue: the "
        "network never sees background, so nothing can be explained; choose another tile"
    )
