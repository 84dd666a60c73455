"""What a run is made with: versions, backend, seeds and the hashes of its inputs."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path

from her2edge.files import sha256_of
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe
from her2edge_training.run.records import Environment, StartedFrom

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


def environment(
    recipe: Recipe, tile_list_sha256: str, started_from: StartedFrom | None, devices: int
) -> Environment:
    """This process's; holds no host name and no absolute path."""
    return Environment(
        packages={name: _version(name) for name in _PACKAGES},
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        backend=keras.backend.backend(),
        devices=tuple(keras.distribution.list_devices()[:devices]),
        precision=recipe.precision,
        seed=recipe.seed,
        tile_list_sha256=tile_list_sha256,
        weights_sha256=weights_hash(recipe),
        started_from=started_from,
        begun=datetime.datetime.now(datetime.UTC).date(),
    )


def weights_hash(recipe: Recipe) -> str | None:
    """SHA-256 of the recipe's local weight file, None where it names none."""
    if recipe.weights is None or not os.path.isfile(recipe.weights):  # noqa: PTH113 - Path's raises for a name too long
        return None
    return sha256_of(Path(recipe.weights))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
