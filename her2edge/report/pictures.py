"""Pictures of a page: JPEGs and masks as data URIs."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from her2edge._quality_kernels import GLASS_COLOUR, GLASS_GREY
from her2edge.tile import Pixels

OVERVIEW_PX, TILE_PX, THUMBNAIL_PX, MASK_PX = 1200, 256, 96, 400  # longer sides, at most
QUALITIES = (75, 60, 45, 30, 15)  # the first that is small enough
OVERVIEW_BYTES, TILE_BYTES, THUMBNAIL_BYTES = 600_000, 26_000, 5_000  # at most, as far as quality can help
_FAINT = 72  # of 255: how strongly glass is painted


def jpeg_uri(pixels: Pixels, most: int) -> str:
    """(h, w, 3) uint8 RGB as a data URI of `most` bytes of JPEG, or of the least quality there is."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    data = np.empty(0, np.uint8)
    for quality in QUALITIES:
        data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if len(data) <= most:
            break
    return _uri("jpeg", data)


def png_uri(pixels: Pixels) -> str:
    """(h, w, 3) uint8 RGB, or (h, w) grey, as a data URI without loss."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return _uri("png", cv2.imencode(".png", bgr)[1])


def mask_uri(pixels: Pixels) -> str:
    """Where an (h, w, 3) uint8 RGB picture shows tissue: a grey picture, white there and dim on glass."""
    small = shrunk(pixels, MASK_PX).astype(np.int16)
    bright = small.mean(axis=2) >= GLASS_GREY
    glass = bright & (small.max(axis=2) - small.min(axis=2) <= GLASS_COLOUR)
    grey = np.where(glass, _FAINT, 255).astype(np.uint8)
    return png_uri(grey)


def _uri(kind: str, data: np.ndarray) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"


def shrunk(pixels: Pixels, most: int) -> Pixels:
    """The picture with its longer side at most so many pixels; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(1.0, most / max(height, width))
    if scale == 1.0:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
