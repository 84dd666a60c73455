"""Pictures in files, for tests: RGB in, RGB out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from her2edge.tile import Pixels


def write(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def read(path: Path) -> Pixels:
    pixels = cv2.imread(str(path))
    assert pixels is not None, path
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
