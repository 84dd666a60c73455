"""Whole-slide images in DICOM, not compressed, as small as OpenSlide reads them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILE = 64
_LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT"}


def element(group: int, number: int, kind: str, value: bytes | str | int) -> bytes:
    """Explicit VR, little-endian."""
    if isinstance(value, int):
        value = struct.pack({"US": "<H", "UL": "<I"}[kind], value)
    if isinstance(value, str):
        value = value.encode()
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    name = kind.encode()
    length = struct.pack("<HI", 0, len(value)) if name in _LONG else struct.pack("<H", len(value))
    return struct.pack("<HH2s", group, number, name) + length + value


def sequence(group: int, number: int, *items: bytes) -> bytes:
    parts = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(group, number, "SQ", parts)


def write(
    path: Path, pixels: NDArray[np.uint8], instance: str = "1.1", series: str = "1.2", **more: Any
) -> Path:
    """Pixels (h, w, 3) uint8, sides multiples of 64. more: container, photometric, samples, bits, icc."""
    height, width = pixels.shape[:2]
    samples, bits = more.get("samples", 3), more.get("bits", 8)
    frames = pixels.reshape(height // TILE, TILE, width // TILE, TILE, 3).swapaxes(1, 2)
    meta = element(2, 2, "UI", "1.2.840.10008.5.1.4.1.1.77.1.6") + element(2, 3, "UI", instance)
    meta += element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
    spacing = sequence(0x28, 0x9110, element(0x28, 0x30, "DS", "0.00025\\0.00025"))
    optical = element(0x28, 0x2000, "OB", more["icc"]) if "icc" in more else b""
    head = [
        element(0x08, 0x08, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        element(0x08, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.77.1.6"),
        element(0x08, 0x18, "UI", instance),
        element(0x08, 0x70, "LO", "Maker"),
        element(0x08, 0x1090, "LO", "Model 5"),
        element(0x20, 0x0D, "UI", "1.9"),
        element(0x20, 0x0E, "UI", series),
        element(0x20, 0x9311, "CS", "TILED_FULL"),
        element(0x28, 0x02, "US", samples),
        element(0x28, 0x04, "CS", more.get("photometric", "RGB")),
        element(0x28, 0x06, "US", 0),
        element(0x28, 0x08, "IS", str(frames.shape[0] * frames.shape[1])),
        element(0x28, 0x10, "US", TILE),
        element(0x28, 0x11, "US", TILE),
        element(0x28, 0x100, "US", 8 if bits <= 8 else 16),
        element(0x28, 0x101, "US", bits),
        element(0x28, 0x102, "US", bits - 1),
        element(0x28, 0x103, "US", 0),
        element(0x40, 0x512, "LO", more["container"]) if "container" in more else b"",
        element(0x48, 0x06, "UL", width),
        element(0x48, 0x07, "UL", height),
        sequence(0x48, 0x105, optical),
        sequence(0x5200, 0x9229, spacing),
        element(0x7FE0, 0x10, "OB", np.ascontiguousarray(frames).tobytes()),
    ]
    length = element(2, 0, "UL", len(meta))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + b"".join(head))
    return path
