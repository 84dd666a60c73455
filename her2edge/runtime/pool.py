"""Several interpreters of one model behind one `Runtime`: so many callers run at the same time."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from her2edge.runtime.protocol import Runtime
from her2edge.tile import Pixels


class Pool:
    """A caller gets whichever interpreter is free; they all say the same."""

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self.title, self.precision = runtimes[0].title, runtimes[0].precision
        self._free: queue.SimpleQueue[Runtime] = queue.SimpleQueue()
        for runtime in runtimes:
            self._free.put(runtime)

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """As `Runtime.logits`."""
        with self._one() as runtime:
            return runtime.logits(pixels)

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """As `Runtime.features`."""
        with self._one() as runtime:
            return runtime.features(pixels)

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Runtime.logits_and_features`."""
        with self._one() as runtime:
            return runtime.logits_and_features(pixels)

    def logits_and_mean(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Runtime.logits_and_mean`."""
        with self._one() as runtime:
            return runtime.logits_and_mean(pixels)

    @contextlib.contextmanager
    def _one(self) -> Iterator[Runtime]:
        runtime = self._free.get()
        try:
            yield runtime
        finally:
            self._free.put(runtime)
