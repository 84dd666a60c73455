"""What a run is made with: versions, backend, seeds and the hashes of its inputs."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from msgspec import UNSET

from her2edge.files import sha256_of
from her2edge_training.cohort.label_from import tiles_by_source
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe
from her2edge_training.run.records import Environment, StartedFrom, TaughtBy

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
    recipe: Recipe,
    tiles: TileList,
    weights: Path | None,
    started_from: StartedFrom | None,
    devices: int,
    taught_by: TaughtBy | None = None,
    sources: Iterable[str] | None = None,
) -> Environment:
    """This process's; holds no host name and no absolute path. weights: the file it starts from.

    sources: what says the label of each tile; None: as the list has it.
    """
    said = (one.label_from for one in tiles.records) if sources is None else sources
    return Environment(
        packages={name: _version(name) for name in _PACKAGES},
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        backend=keras.backend.backend(),
        devices=tuple(keras.distribution.list_devices()[:devices]),
        precision=recipe.precision,
        seed=recipe.seed,
        tile_list_sha256=tiles.sha256,
        weights_sha256=None if weights is None else sha256_of(weights),
        started_from=started_from,
        label_from=tiles_by_source(said),
        begun=datetime.datetime.now(datetime.UTC).date(),
        taught_by=taught_by or UNSET,
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
