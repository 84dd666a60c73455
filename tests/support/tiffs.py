"""TIFFs of every kind that scanners, converters and other programs write, and how else they can be read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

SIDE = 256
QUARTER_UM: dict[str, Any] = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
APERIO = "Aperio Image Library v11.2.1 |AppMag = 40|MPP = 0.25"


def picture(height: int = SIDE, width: int = SIDE, channels: int = 3, seed: int = 5) -> NDArray[np.uint8]:
    """A smooth picture, so that lossy compression changes little; no two places alike."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, channels))
    smooth = cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth.reshape(height, width, channels), np.uint8)


def write(path: Path, pixels: NDArray[Any], **more: Any) -> Path:
    """A tiled TIFF at 0.25 um per pixel, not compressed but where `more` says so; returns its path."""
    more = {"tile": (128, 128), "photometric": "rgb", "metadata": None, **QUARTER_UM, **more}
    tifffile.imwrite(path, pixels, **more)
    return path


def encoded(pixels: NDArray[np.uint8], kind: str, side: int = 128, **more: Any) -> Iterator[bytes]:
    """Stored tiles of (h, w, c) pixels, sides multiples of `side`, compressed by Pillow."""
    for top in range(0, pixels.shape[0], side):
        for left in range(0, pixels.shape[1], side):
            buffer = io.BytesIO()
            part = pixels[top : top + side, left : left + side]
            Image.fromarray(part[..., 0] if part.shape[2] == 1 else part).save(buffer, kind, **more)
            yield buffer.getvalue()


def write_encoded(path: Path, pixels: NDArray[np.uint8], kind: str, compression: int, **more: Any) -> Path:
    """Tiles compressed as JPEG or JPEG2000; `more` as of `write`. The library writes what it is given as
    deflated, and the tags are corrected: it has no such codecs."""
    shape = pixels.shape if pixels.shape[2] > 1 else pixels.shape[:2]
    quality = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"irreversible": False, "no_jp2": True}
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (128, 128),
        "compression": "zlib",
        "metadata": None,
        **more,
    }
    parts = encoded(pixels, kind, **quality)
    tifffile.imwrite(path, parts, shape=shape, dtype=np.uint8, **QUARTER_UM, **options)
    tag(path, 0, Compression=compression)
    return tag(path, 0, PhotometricInterpretation=6) if kind == "JPEG" and len(shape) > 2 else path


def level_0(path: Path) -> NDArray[np.uint8]:
    """(h, w, 3): what OpenSlide itself gives for level 0, alpha over white."""
    import openslide

    with openslide.OpenSlide(path) as slide:
        region = np.asarray(slide.read_region((0, 0), 0, slide.dimensions)).astype(float)
    alpha = region[..., 3:] / 255
    return np.floor(region[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


def tag(path: Path, page: int, **values: Any) -> Path:
    """Change tags of a page in place."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in values.items():
            tiff.pages[page].tags[name].overwrite(value)  # type: ignore[union-attr]
    return path
