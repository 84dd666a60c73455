"""A network of four devices is that of one; what cannot be divided is refused before anything is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import RECIPE, log_of, run
from training_data import write_cohort

pytest.importorskip("keras")

from her2edge.errors import OptionError
from her2edge_cli import exits
from her2edge_cli.main import main
from her2edge_training.cohort.split import make_split
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import keras
from her2edge_training.network.devices import check_devices, data_parallel
from her2edge_training.network.networks import load_trained
from her2edge_training.network.predict import predict, with_features
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Stage
from her2edge_training.run.folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Proof:
    """What `four_devices.py` left and said."""

    out: Path
    said: dict[str, Any]

    def column(self, name: str, column: str) -> list[float]:
        return [float(getattr(row, column)) for row in log_of(self.out / name)]


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    pytest.importorskip("jax")
    out = tmp_path_factory.mktemp("devices")
    (out / "cohort").mkdir()
    tile_list = write_cohort(out / "cohort")
    places = [ROOT, ROOT / "tests" / "support", *(ROOT / name for name in ("cli", "quantize", "training"))]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
    }
    command = [sys.executable, str(ROOT / "tests" / "support" / "four_devices.py"), str(tile_list), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return Proof(out, json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("column", ["loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"])
def test_four_devices_learn_what_one_learns(proof: Proof, column: str) -> None:
    np.testing.assert_allclose(proof.column("four", column), proof.column("one", column), rtol=1e-5)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(proof: Proof) -> None:
    assert proof.said["going_on"] == ["going on after epoch 2"]
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(proof.column("resumed", column), proof.column("one", column), rtol=1e-5)


@pytest.mark.slow
def test_batch_normalisation_sees_the_whole_batch(proof: Proof) -> None:
    """The quarter of it that a device holds has no variance at all."""
    expected = np.var([0, 80, 160, 240])
    np.testing.assert_allclose(proof.said["moving_variance"], [expected] * 3, rtol=1e-5)


@pytest.mark.slow
def test_no_tensorflow_is_needed_and_no_distribution_is_left_behind(proof: Proof) -> None:
    assert proof.said["asked_for_tensorflow"] > 0  # Keras looks for it, and all went on without
    assert proof.said["left_behind"] == "None"


@pytest.mark.slow
def test_every_step_is_compiled_once_for_each_tile_size(proof: Proof) -> None:
    """Two stages, then the predictions: no batch is of another size than the first."""
    assert proof.said["compilations"] == {"train_step": 2, "test_step": 2, "predict_step": 1}


@pytest.mark.slow
def test_a_run_records_the_devices_it_used(proof: Proof) -> None:
    def devices(name: str) -> list[str]:
        return list(json.loads((proof.out / name / "environment.json").read_text())["devices"])

    assert (devices("one"), devices("four")) == (["cpu:0"], [f"cpu:{i}" for i in range(4)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["four", "bfloat16"])
def test_tensorflow_reads_what_jax_trained_and_says_the_same(proof: Proof, name: str) -> None:
    """Within float32's rounding, also where bfloat16 (three digits) was computed in while training."""
    records = TileList.read(proof.out / "cohort" / "cohort.csv").records
    tiles = make_split(records, RECIPE.split, RECIPE.seed).select("test")
    sequence = TileSequence(tiles, RECIPE.labels, TileStore(None), tile_px=64, batch=4)
    logits, _ = predict(with_features(load_trained(proof.out / name / "model.keras")), sequence)
    kept = RunFolder(proof.out / name).predictions("test", RECIPE.labels)
    np.testing.assert_allclose(kept.logits, logits, atol=1e-5)


def test_tensorflow_trains_on_one_device_only(tmp_path: Path) -> None:
    tile_list = write_cohort(tmp_path)
    with pytest.raises(OptionError, match=r"devices=2 with Keras on tensorflow.*KERAS_BACKEND=jax"):
        run(tile_list, tmp_path / "run", devices=2)
    with pytest.raises(OptionError, match="devices=0, expected a number above 0"):
        run(tile_list, tmp_path / "run", devices=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("devices", "stage", "says"),
    [
        (
            8,
            Stage(32, 1, 1e-3, batch=8),
            r"found 4 devices \(tpu:0, tpu:1, tpu:2, tpu:3\), expected devices=8",
        ),
        (3, Stage(32, 1, 1e-3, batch=8), "batch=8 in stage 2, expected a multiple of devices=3"),
        (
            4,
            Stage(32, 1, 1e-3, batch=24),
            "found 18 crops an epoch in stage 2, expected at least a batch of 24",
        ),
        (4, Stage(32, 1, 1e-3, batch=16, tiles_per_epoch=8), "found 8 crops an epoch in stage 2"),
    ],
)
def test_a_recipe_that_cannot_be_divided_is_refused(
    devices: int, stage: Stage, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [f"tpu:{i}" for i in range(4)])
    recipe = replace(RECIPE, stages=(Stage(32, 1, 1e-3, batch=12), stage))
    with pytest.raises(OptionError, match=says):
        check_devices(devices, recipe, tiles=18)
    check_devices(
        4, replace(recipe, stages=(Stage(32, 1, 1e-3, 16, crops_per_tile=2, tiles_per_epoch=8),)), 18
    )


@pytest.mark.parametrize("verb", ["train", "study"])
def test_the_command_says_what_more_devices_need(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--smoke", "--data", str(write_cohort(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([verb, "demo_se_resnet50", *options, "--devices", "2"]) == exits.USAGE
    assert "set KERAS_BACKEND=jax" in capsys.readouterr().err


def test_one_device_is_no_distribution() -> None:
    with data_parallel(1):
        assert keras.distribution.distribution() is None
