"""`train --from MODEL.tflite`: the file's weights, on record, and nobody scored whom it learnt from."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_tiny_model as tiny
import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")

import resnet_file
import tiny_resnet
import tiny_run
from tiny_run import KilledError, killed_at

from her2edge.errors import MissingInputError, ModelError, OptionError, OutputError
from her2edge.model.file import Golden
from her2edge.model.patients import TrainingPatients, patient_group, slide_group
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.network.backend import keras, random_kept
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Stage
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.former_model import FormerModel
from her2edge_training.run.warm_start import read_start

pytestmark = pytest.mark.usefixtures("fresh_session")

STAGES = tuple(Stage(tile_px=px, epochs=1, learning_rate=1e-3, batch=8) for px in (32, 64))
RECIPE = msgspec.structs.replace(
    tiny_run.RECIPE,
    stages=STAGES,
    se_ratio=resnet_file.SE_RATIO,
    separable_filters=resnet_file.FILTERS,
    dense_units=resnet_file.UNITS,
)


def build(_recipe: Any, tile_px: int) -> Any:
    return tiny_resnet.build(tile_px, seed=3)


def drawn(recipe: Any, tile_px: int) -> Any:
    """The same, but the seed of its dropout is drawn from the run's numbers, as Keras does it."""
    with random_kept():
        network = build(recipe, tile_px)
    network.get_layer("dropout").seed_generator.state.assign([random.randint(1, 10**6), 0])  # noqa: S311
    return network


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "former.tflite"
    path.write_bytes(resnet_file.packed())
    return path


def run(tile_list: Path, out: Path, start: Path, recipe: Any = RECIPE, **options: Any) -> Any:
    return tiny_run.run(tile_list, out, recipe, start=start, **({"build": build} | options))


def test_a_run_begins_with_the_weights_of_a_model_file_and_records_it(
    tile_list: Path, tmp_path: Path, file: Path
) -> None:
    one = msgspec.structs.replace(RECIPE, stages=STAGES[1:])
    result, lines = run(tile_list, tmp_path / "run", file, one)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"starting from former.tflite: tiny-int8 0.1.0, int8, SHA-256 {digest[:12]}" in lines
    assert any(line.startswith("warning: former.tflite does not say") for line in lines)
    assert any(line.startswith("weights read back from former.tflite: ") for line in lines)
    assert any(line.startswith("stage 1 begins at validation") for line in lines)
    started_from = json.loads((result.run / "environment.json").read_text())["started_from"]
    assert started_from == {
        "recipe": "tiny", "seconds": 0.0, "weights_sha256": digest,
        "model_file": {"name": "tiny-int8", "version": "0.1.0", "scheme": "int8"},
    }  # fmt: skip
    assert not RunFolder(result.run).environment().started_from.states_patients


@pytest.mark.slow  # two trainings of two stages: a minute
def test_a_run_from_a_model_file_that_was_killed_ends_as_one_that_was_not(
    tile_list: Path, tmp_path: Path, file: Path
) -> None:
    whole, _ = run(tile_list, tmp_path / "whole", file, build=drawn)
    with pytest.raises(KilledError):
        run(tile_list, tmp_path / "killed", file, build=drawn, opened=killed_at("append_log", 1))
    keras.backend.clear_session()
    other = tmp_path / "other.tflite"
    other.write_bytes(resnet_file.packed(version="0.2.0"))
    with pytest.raises(OutputError, match=r"another environment\.json, expected the same recipe, tiles and"):
        run(tile_list, tmp_path / "killed", other, build=drawn)
    resumed, lines = run(tile_list, tmp_path / "killed", file, build=drawn)
    assert not any("read back" in line for line in lines), "the checkpoint has the weights"
    for name in ("metrics.json", "predictions.csv"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes(), name


def test_a_model_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the network tiny, expected se_resnet50 or resnet50: .* its run"):
        read_start(tiny.DATA / "tiny-int8.tflite")
    with pytest.raises(MissingInputError, match=r"expected the folder of a training run, or a model file"):
        read_start(tmp_path / "none.tflite")


def test_a_damaged_file_is_refused(tmp_path: Path, file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[5000] ^= 1
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(ModelError, match=r"m\.tflite: found bytes that do not match the file's own SHA-256"):
        read_start(tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("negative", "2+", "3+")}, r"another labels \(se_resnet50, labels 0/1\+, 2\+, 3\+\)"),
        ({"se_ratio": 8}, "another se_ratio"),
        ({"separable_filters": 32, "dense_units": 9}, "another separable_filters, dense_units"),
        ({"architecture": "resnet50"}, "another architecture"),
    ],
)
def test_a_file_of_another_network_than_the_recipes_is_refused(
    file: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        read_start(file).refuse_other_network(msgspec.structs.replace(RECIPE, **changes))
    read_start(file).refuse_other_network(RECIPE)


def record(patient: str, slide: str, part: str) -> tuple[TileRecord, str]:
    return TileRecord(f"{slide}.png", Path(), slide, patient, "site", "2+", 0, 0, 0.25, None, ""), part


@pytest.mark.parametrize("part", ["validation", "test", "gate"])
@pytest.mark.parametrize(
    ("patient", "slide", "known"),
    [("P1", "a", patient_group("P1")), ("p1", "a", patient_group("P1")), ("", "a.svs", slide_group("a"))],
)
def test_a_patient_whom_the_file_learnt_from_is_never_scored(
    tmp_path: Path, part: str, patient: str, slide: str, known: str
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(_known_file(known))
    rows = [record("P0", "b", "train"), record(patient, slide, part), record("P2", "c", "test")]
    split = SplitAssignment("slide-grouped", 1, *zip(*rows, strict=True))
    with pytest.raises(OptionError, match=r"found 1 patients to score whom m\.tflite was trained on"):
        read_start(path).refuse_leak(split)
    rows[1] = record(patient, slide, "train")
    read_start(path).refuse_leak(SplitAssignment("slide-grouped", 1, *zip(*rows, strict=True)))
    assert len(read_start(path).words()) == 1, "no warning"


KNOWN: dict[str, bytes] = {}


def _known_file(group: str) -> bytes:
    if group not in KNOWN:
        KNOWN[group] = resnet_file.packed(training_patients=TrainingPatients.of("salt", [group]))
    return KNOWN[group]


def test_a_file_that_says_in_part_whom_it_learnt_from_is_warned_of(tmp_path: Path) -> None:
    known = msgspec.structs.replace(TrainingPatients.of("salt", ["patient:P1"]), others="unknown")
    (tmp_path / "m.tflite").write_bytes(resnet_file.packed(training_patients=known))
    start = read_start(tmp_path / "m.tflite")
    assert start.words()[1].startswith("warning: m.tflite does not say, or not in full")
    assert start.source.model_file.patients == known


def test_weights_that_answer_otherwise_than_the_file_are_refused(file: Path) -> None:
    start = read_start(file)
    assert isinstance(start, FormerModel)
    golden = start.model.golden
    unlikely = np.eye(3, dtype=np.float32)[golden.logits.argmin(axis=1)]
    other = replace(start.model, golden=Golden(golden.tiles, golden.logits + 20 * unlikely))
    with pytest.raises(ModelError, match=r"answer its golden tiles differently than the file"):
        FormerModel(start.name, other, start.squeezed).fill(
            network := tiny_resnet.build(seed=3), _tiles(), lambda _px: network
        )


def _tiles() -> TileSequence:
    class Tiles(keras.utils.PyDataset):  # type: ignore[misc]
        error, batch = None, 4

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any]]:
            return (tiny.network_inputs(4, first=10),)

    return Tiles()
