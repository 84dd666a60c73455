"""Files of weights to start from: ImageNet's, as keras.applications publishes them, or one's own.

Needs no Keras. Nothing is downloaded unless that is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.files import look, sha256_of
from her2edge_training.recipe import Architecture

IMAGENET = "imagenet"
_HOST = "https://storage.googleapis.com"
_PIECE = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """A no-top file of keras.applications. network: whose; md5: as keras.applications states it."""

    network: str
    name: str
    folder: str
    md5: str

    @property
    def url(self) -> str:
        """Where it is published."""
        return f"{self.folder}/{self.name}"

    @property
    def kept(self) -> Path:
        """Where Keras keeps it, and looks for it."""
        return keras_models() / self.name


_RESNET50 = WeightFile(
    "ResNet50",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    f"{_HOST}/tensorflow/keras-applications/resnet",
    "4d473c1dd8becc155b73f8504c6f6626",
)
FILES: dict[Architecture, WeightFile] = {
    "se_resnet50": _RESNET50,
    "resnet50": _RESNET50,
    "efficientnetb0": WeightFile(
        "EfficientNetB0",
        "efficientnetb0_notop.h5",
        f"{_HOST}/keras-applications",
        "50bc09e76180e00e4465e1a485ddc09d",
    ),
    "inceptionv3": WeightFile(
        "InceptionV3",
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_HOST}/tensorflow/keras-applications/inception_v3",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
}


def keras_models() -> Path:
    """Keras' folder of published weights: $KERAS_HOME/models, ~/.keras/models where that is not set."""
    return Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "models"


def find_weights(
    architecture: Architecture,
    weights: str | Path | None,
    sha256: str | None = None,
    *,
    download: bool = False,
    files: Mapping[Architecture, WeightFile] = FILES,
) -> Path | None:
    """The file that training starts from, held against its hash; None for random weights.

    weights: as in a recipe. sha256: that the file must have, None: any. download: fetch ImageNet's where they
    are not there. files: those that are published.

    Raises MissingInputError where there is no file, OptionError for a name or hash that is not the recipe's,
    ModelError for a damaged file of keras.applications, or one of another network.
    """
    if weights is None:
        return None
    if architecture not in files:
        raise OptionError(
            f"found weights={str(weights)!r} for {architecture}, expected none: no weights are published for "
            f"Keras, so it starts from random ones"
        )
    wanted = files[architecture]
    path = _imagenet(wanted, download) if str(weights) == IMAGENET else _own(wanted, Path(weights))
    if sha256 and (digest := sha256_of(path)) != sha256.lower():
        raise OptionError(f"{path.name} has sha256 {digest}, the recipe expects {sha256}: fetch it again")
    _check_published(path, wanted, files.values())
    return path


def _imagenet(wanted: WeightFile, download: bool) -> Path:
    expected = f"ImageNet's weights of {wanted.network}"
    if look(wanted.kept, expected, ModelError) == "file":
        return wanted.kept
    if download:
        return _fetch(wanted)
    raise MissingInputError(
        f"found no {wanted.name} where Keras keeps its models (~/.keras/models or $KERAS_HOME/models), "
        f"expected {expected}: {_how(wanted)}"
    )


def _how(wanted: WeightFile) -> str:
    return (
        f"allow it with --download, or fetch {wanted.url} (MD5 {wanted.md5}) on a machine with a network and "
        "put it there or pass its path as --weights; --weights none starts from random values"
    )


def _fetch(wanted: WeightFile) -> Path:
    from her2edge_training.network.backend import keras

    try:
        keras.utils.get_file(
            wanted.name, wanted.url, cache_dir=str(wanted.kept.parents[1]), cache_subdir="models",
            file_hash=wanted.md5,
        )  # fmt: skip
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingInputError(
            f"the ImageNet weights of {wanted.network} could not be downloaded ({error}): {_how(wanted)}"
        ) from error
    return wanted.kept


def _own(wanted: WeightFile, path: Path) -> Path:
    if not path.name.endswith(".h5"):
        raise OptionError(
            f"found weights={path.name!r}, expected 'imagenet' or the path of a .h5 weight file"
        )
    if look(path, f"weights of {wanted.network} without top", ModelError) != "file":
        raise MissingInputError(f"no weight file at {path}: {_how(wanted)}")
    return path


def _check_published(path: Path, wanted: WeightFile, files: Collection[WeightFile]) -> None:
    """A file that is, or is called, one of keras.applications' is the one of this network, whole."""
    digest = _md5(path)
    owner = next((file for file in files if digest == file.md5), None)
    if owner is not None and owner.network != wanted.network:
        raise ModelError(
            f"{path.name} holds the ImageNet weights of {owner.network}, expected those of {wanted.network} "
            f"({wanted.name}, MD5 {wanted.md5})"
        )
    named = next((file for file in files if path.name == file.name), None)
    if named is not None and owner is None:
        raise ModelError(
            f"{path.name} has MD5 {digest}, keras.applications states {named.md5}: it is damaged or another "
            f"file: remove it and fetch it again, or rename it if it is your own"
        )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
