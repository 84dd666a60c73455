"""Slides with coarse levels: honest ones, and ones that lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Smaller = Callable[[Pixels, int], Pixels]


def area(pixels: Pixels, down: int) -> Pixels:
    """Means of what each pixel covers."""
    size = pixels.shape[1] // down, pixels.shape[0] // down
    inside = pixels[: size[1] * down, : size[0] * down]
    return np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), np.uint8)


def nearest(pixels: Pixels, down: int) -> Pixels:
    """Every n-th pixel, as some scanners make their levels."""
    rows, columns = pixels.shape[0] // down, pixels.shape[1] // down
    return np.ascontiguousarray(pixels[::down, ::down][:rows, :columns])


def write_pyramid(
    path: Path, pixels: Pixels, downs: tuple[int, ...] = (4, 16), smaller: Smaller = area, mpp: float = 0.25
) -> Path:
    """A tiled TIFF with levels, each smaller by the factor given; `smaller` makes each from level 0."""
    with tifffile.TiffWriter(path) as file:
        for down in (1, *downs):
            density = 1e4 / (mpp * down)
            file.write(
                pixels if down == 1 else smaller(pixels, down), tile=(128, 128), photometric="rgb",
                subfiletype=int(down > 1), resolution=(density, density), resolutionunit="CENTIMETER",
                compression="zlib", metadata=None,
            )  # fmt: skip
    return path


def glass(height: int, width: int, seed: int = 0) -> Pixels:
    """Glass as a scanner has it: bright, nearly without colour, a little noise."""
    noise = np.random.default_rng(seed).normal(243, 1.5, (height, width, 1))
    return np.clip(noise, 0, 255).astype(np.uint8).repeat(3, axis=2)


def flecks(pixels: Pixels, share: float, side: int, grey: int = 120, seed: int = 0) -> Pixels:
    """Squares of the given side at random places of a grid of squares, `share` of the area."""
    rng = np.random.default_rng(seed)
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    chosen = np.zeros(rows * columns, np.bool_)
    chosen[rng.permutation(chosen.size)[: int(np.ceil(share * chosen.size))]] = True
    mask = chosen.reshape(rows, columns).repeat(side, axis=0).repeat(side, axis=1)
    out = pixels.copy()
    out[: mask.shape[0], : mask.shape[1]][mask] = grey
    return out
