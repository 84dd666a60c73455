"""Pictures in files, for tests: RGB in, RGB out."""

from __future__ import annotations

import cv2


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def read(path):
    pixels = cv2.imread(str(path))
    assert pixels is not None, path
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
