"""Annotations as QuPath exports them, and small slides to draw them on, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.stain.profiles import MACENKO
from her2edge_cli.main import main


def square(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(coordinates: Any, kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": "3+"}} | properties,
    }


SIDE = 64
SMALL = ("--tile-px", SIDE, "--mpp", 0.25)


def two_stains(height: int, width: int, seed: int = 1) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 BGR, as OpenCV writes it: dark tissue, two stains in blocks of 5 pixels."""
    amounts = 0.35 + np.random.default_rng(seed).gamma(1.0, 0.4, (-(-height // 5), -(-width // 5), 2))
    amounts = amounts.repeat(5, axis=0).repeat(5, axis=1)[:height, :width]
    light = 240 * np.exp(-amounts @ MACENKO.stain_matrix.T)
    return np.ascontiguousarray(light[..., ::-1].astype(np.uint8))


def make_slide(path: Path, seed: int = 1) -> Path:
    """4 x 3 tiles of 64 px, dark tissue; the last column is glass."""
    pixels = two_stains(3 * SIDE, 4 * SIDE, seed)
    pixels[:, 3 * SIDE :] = 240
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def annotate(path: Path, *regions: tuple[str, tuple[float, float, float, float]]) -> Path:
    """Squares in units of tiles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            [
                feature([square(*(SIDE * at for at in box))], classification={"name": name})
                for name, box in regions
            ]
        )
    )
    return path


def tiles(*arguments: Any) -> int:
    return main(["tiles", *map(str, arguments)])
