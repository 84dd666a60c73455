"""What test_overlap runs on each of Keras' backends, in a process of its own.

python overlapping.py TILES prints one line of JSON: for each step, whether the batch after it was made while
the step was being computed.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import LABELS, TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import Batch, TileSequence

PATIENCE = 60.0  # seconds until a batch that nobody makes counts as not made


class Watched(TileSequence):
    """Tells which of its batches are made."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.made = [threading.Event() for _ in range(len(self))]

    def _batch(self, epoch: int, index: int) -> Batch:
        batch = super()._batch(epoch, index)
        self.made[index].set()
        return batch


class Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Which step is being computed; None between steps."""

    now: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.now = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.now = None


class Waits(keras.layers.Layer):  # type: ignore[misc]
    """A step that ends when the next batch has been made: it never is if making waits for the step."""

    def __init__(self, sequence: Watched, steps: Steps) -> None:
        super().__init__()
        self.sequence, self.steps = sequence, steps
        self.overlapped: dict[int, bool] = {}

    def call(self, x: Any) -> Any:
        step = self.steps.now
        if step is not None and step + 1 < len(self.sequence) and step not in self.overlapped:
            assert self.sequence.made[step].is_set()
            patience = PATIENCE if all(self.overlapped.values()) else 0.0
            self.overlapped[step] = self.sequence.made[step + 1].wait(patience)
        return x


def main(tile_list: Path) -> None:
    records = TileList.read(tile_list).records
    sequence = Watched(records, LABELS, TileStore(None), tile_px=32, batch=2, training=True)
    steps = Steps()
    waits = Waits(sequence, steps)
    layers = [keras.Input((32, 32, 3)), waits, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)  # so that a step is computed where Python calls it
    model.fit(sequence, epochs=1, verbose=0, shuffle=False, callbacks=[steps])
    overlapped = [waits.overlapped.get(step) for step in range(len(sequence) - 1)]
    sys.stdout.write(json.dumps({"backend": keras.backend.backend(), "overlapped": overlapped}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
