"""Random generators that depend on their keys and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*keys: str | int) -> np.random.Generator:
    """A generator for these keys: the same on every run, process and platform.

    Keys are hashed with SHA-256, never with Python's `hash`, which changes from process to process.
    """
    digest = hashlib.sha256("\x1f".join(str(key) for key in keys).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest[:16], "little")))
