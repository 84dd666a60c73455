"""What test_devices runs in a process of its own: JAX with four CPU devices, and no TensorFlow.

python four_devices.py TILES OUT prints one line of JSON.
"""

# ruff: noqa: E402 - TensorFlow has to be away before Keras looks for it

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


class NoTensorFlow(MetaPathFinder):
    """A machine on which TensorFlow is not installed; asked: how often somebody looked for it."""

    asked = 0

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "tensorflow":
            NoTensorFlow.asked += 1
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoTensorFlow())

import jax
import numpy as np
from tiny_run import RECIPE, KilledError, killed_at, run

from her2edge_training.network.backend import keras
from her2edge_training.network.devices import data_parallel


class Compilations(logging.Handler):
    """Counts how often each of Keras' step functions is compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Compiling jit("):
            self.steps.append(text.partition("(")[2].partition(")")[0])


def killed_run(tile_list: Path, out: Path, devices: int) -> None:
    """A run that dies just before the third epoch is in its log."""
    with suppress(KilledError):
        run(tile_list, out, devices=devices, opened=killed_at("append_log", 3))


def moving_variance(devices: int) -> list[float]:
    """Of a batch norm that remembers one batch only, in which each quarter is another shade."""
    shades = np.repeat([0, 80, 160, 240], 2).astype(np.uint8)
    pixels = np.broadcast_to(shades[:, None, None, None], (8, 4, 4, 3))
    with data_parallel(devices):
        given = keras.Input((4, 4, 3))
        norm = keras.layers.BatchNormalization(momentum=0.0)
        logits = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(norm(given)))
        model = keras.Model(given, logits)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.train_on_batch(pixels, shades // 120)
        return [float(value) for value in keras.ops.convert_to_numpy(norm.moving_variance)]


def main(tile_list: Path, out: Path) -> dict[str, Any]:
    compilations = Compilations()
    logging.getLogger("jax").addHandler(compilations)
    with jax.log_compiles():
        run(tile_list, out / "four", devices=4)
    counts = {name: compilations.steps.count(name) for name in ("train_step", "test_step", "predict_step")}
    run(tile_list, out / "one")
    killed_run(tile_list, out / "resumed", devices=4)
    _, lines = run(tile_list, out / "resumed", devices=2)
    run(tile_list, out / "bfloat16", replace(RECIPE, precision="mixed_bfloat16"), devices=4)
    return {
        "compilations": counts,
        "going_on": [line for line in lines if line.startswith("going on")],
        "moving_variance": moving_variance(4),
        "left_behind": str(keras.distribution.distribution()),
        "asked_for_tensorflow": NoTensorFlow.asked,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
