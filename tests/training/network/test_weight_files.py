"""Weights to start from: nothing is downloaded unasked, and no other network's file is taken for them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.files import sha256_of
from her2edge_training.network.weight_files import FILES, WeightFile, find_weights


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' folder of models, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


def content(name: str) -> bytes:
    """In the place of a published file."""
    return f"weights of {FILES[name].network}".encode()  # type: ignore[index]


def published(folder: str = "file:///none") -> dict[Any, WeightFile]:
    """What `content` would be published as."""
    return {
        name: replace(file, folder=folder, md5=hashlib.md5(content(name), usedforsecurity=False).hexdigest())
        for name, file in FILES.items()
    }


def test_random_weights_need_no_file() -> None:
    assert find_weights("resnet50", None) is None


@pytest.mark.parametrize("name", FILES)
def test_imagenet_offline_names_the_file_its_hash_and_every_way_out(models: Path, name: str) -> None:
    file = FILES[name]  # type: ignore[index]
    with pytest.raises(MissingInputError) as caught:
        find_weights(name, "imagenet")  # type: ignore[arg-type]
    for words in (file.name, file.url, file.md5, "--download", "--weights none", "KERAS_HOME"):
        assert words in str(caught.value)
    assert not list(models.iterdir())


def test_imagenet_is_found_where_keras_keeps_it(models: Path) -> None:
    path = models / FILES["resnet50"].name
    path.write_bytes(content("resnet50"))
    assert find_weights("se_resnet50", "imagenet", files=published()) == path
    assert find_weights("resnet50", path, sha256_of(path).upper(), files=published()) == path


def test_a_file_of_another_network_is_refused_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(content("inceptionv3"))
    with pytest.raises(
        ModelError, match="holds the ImageNet weights of InceptionV3, expected those of ResNet50"
    ):
        find_weights("resnet50", path, files=published())


def test_a_published_file_that_is_cut_is_refused(models: Path) -> None:
    (models / FILES["efficientnetb0"].name).write_bytes(content("efficientnetb0")[:-1])
    with pytest.raises(ModelError, match=r"has MD5 .*, keras.applications states .*: it is damaged"):
        find_weights("efficientnetb0", "imagenet", files=published())


def test_ones_own_file_is_taken_unless_its_hash_is_another(tmp_path: Path) -> None:
    path = tmp_path / "own.weights.h5"
    path.write_bytes(b"own")
    assert find_weights("resnet50", str(path)) == path
    with pytest.raises(OptionError, match=r"own\.weights\.h5 has sha256 .*, the recipe expects 0000"):
        find_weights("resnet50", path, "0" * 64)
    with pytest.raises(OptionError, match=r"expected 'imagenet' or the path of a \.h5"):
        find_weights("resnet50", tmp_path / "own.keras")
    with pytest.raises(MissingInputError, match=r"no weight file at .*none\.h5"):
        find_weights("resnet50", tmp_path / "none.h5")


def test_a_download_that_is_asked_for_lands_where_keras_keeps_it(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    source = tmp_path / FILES["resnet50"].name
    source.write_bytes(content("resnet50"))
    files = published(tmp_path.as_uri())
    assert find_weights("resnet50", "imagenet", download=True, files=files) == models / source.name
    assert (models / source.name).read_bytes() == content("resnet50")
    (models / source.name).unlink()
    source.unlink()
    with pytest.raises(MissingInputError, match="could not be downloaded"):
        find_weights("resnet50", "imagenet", download=True, files=files)


def test_names_addresses_and_hashes_are_those_of_keras_applications() -> None:
    keras = pytest.importorskip("keras")
    folder = Path(keras.__file__).parent / "src" / "applications"
    texts = {name: (folder / f"{name}.py").read_text() for name in ("resnet", "efficientnet", "inception_v3")}
    modules = {"efficientnetb0": "efficientnet", "inceptionv3": "inception_v3"}
    for name, file in FILES.items():
        text = texts[modules.get(name, "resnet")]
        joined = re.sub(r'"\s*"', "", text)
        assert f'"{file.md5}"' in text
        assert f'"{file.folder}/' in joined


def test_keras_looks_where_we_look(models: Path) -> None:
    pytest.importorskip("keras")
    code = "from keras.src.backend.config import keras_home; print(keras_home())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == models.parent
