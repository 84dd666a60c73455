"""Arrays that a thread uses again from tile to tile: fresh ones cost a page fault per 4 kB, each time."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_BYTES = 64 << 20  # larger ones, of whole images, are given back


class _Kept(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}


_kept = _Kept()


def scratch(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array with arbitrary contents, this thread's until it asks for the same name again."""
    size = math.prod(shape) * dtype.itemsize
    held = _kept.arrays.get(name)
    if held is None or held.size < size:
        held = np.empty(size, np.uint8)
        if size <= KEPT_BYTES:
            _kept.arrays[name] = held
    return held[:size].view(dtype).reshape(shape)
