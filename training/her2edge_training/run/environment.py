"""What a run was made with: versions, backend, seeds and the hashes of its inputs."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path

from her2edge_training.network.backend import keras
from her2edge_training.network.imagenet import sha256_of
from her2edge_training.recipe import Recipe
from her2edge_training.run.warm_start import Start

_PACKAGES = (
    "her2edge",
    "keras",
    "tensorflow",
    "jax",
    "jaxlib",
    "numpy",
    "numba",
    "opencv-python-headless",
    "scikit-learn",
    "h5py",
)


def environment(recipe: Recipe, manifest: Path, start: Start | None = None, devices: int = 1) -> bytes:
    """Contents of RUN/environment.json; holds no host name and no absolute path."""
    record = {
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices()[:devices],
        "float": recipe.precision,
        "seed": recipe.seed,
        "manifest_sha256": sha256_of(manifest),
        "weights_sha256": weights_hash(recipe),
        "started_from": start.record() if start is not None else None,
    }
    return json.dumps(record, indent=2).encode() + b"\n"


def weights_hash(recipe: Recipe) -> str | None:
    """SHA-256 of the recipe's local weight file, None where it names none."""
    if recipe.weights is None or not Path(recipe.weights).is_file():
        return None
    return sha256_of(Path(recipe.weights))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
