"""Keras, imported in one place, with the settings that must be there before its backend is.

    from her2edge_training.network.backend import keras

TensorFlow switches its oneDNN kernels on by itself only on processors with AVX512-VNNI or AMX. On a
two-core AVX2 machine they make a training step of the paper's network 1.5x faster (168 -> 110 ms per 128 px
image), so they are asked for. TensorFlow's log is quiet. The environment overrides both
(TF_ENABLE_ONEDNN_OPTS, TF_CPP_MIN_LOG_LEVEL). KERAS_BACKEND chooses tensorflow or jax, as always.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from her2edge.extras import quiet_tensorflow

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
quiet_tensorflow()

import keras as _keras  # noqa: E402 - after its environment

__all__ = ["computing_in", "jit_compile", "keras", "random_kept"]

keras: Any = _keras  # states half of its types, some of them wrong


def jit_compile() -> str | bool:
    """What `Model.compile` is told: XLA everywhere but on TensorFlow's CPU, where it is slower (measured)."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    accelerators = keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu")
    return "auto" if accelerators else False


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made inside compute in `precision`, one of recipe.PRECISIONS; afterwards all is as before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def random_kept() -> Iterator[None]:
    """Networks built inside take no random numbers from those built afterwards.

    Keras draws the seeds of layers from Python's own generator.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
