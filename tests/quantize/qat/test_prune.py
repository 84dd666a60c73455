"""Fewer different weights: what pruning and clustering leave, and what is refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import tiny_qat as tiny

from her2edge.errors import OptionError
from her2edge.model.file import Model
from her2edge_quantize.qat.options import PruneOptions, QatOptions
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.networks import load_trained
from her2edge_training.run.trained import TrainedRun

pytest.importorskip("tf_keras", reason="pruning needs the toolkit")

from her2edge_quantize.qat.prune import prune

THINNED = ("stem", "conv", "se_reduce", "se_expand", "dense")
TRAINING = QatOptions(epochs=1, batch=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny.make_run(tmp_path_factory.mktemp("prune"))


@pytest.mark.slow
def test_half_the_weights_become_zero_and_the_others_a_few_values(made: tuple[Path, Path]) -> None:
    network = load_trained(made[0] / "model.keras")
    before = network.get_weights()
    options = PruneOptions(0.5, 8, TRAINING)
    thinned, record = prune(
        network, TrainedRun.read(made[0]), TileList.read(made[1]), options, lambda _line: None
    )
    for name in THINNED:
        kernel, original = (np.asarray(n.get_layer(name).kernel) for n in (thinned, network))
        zero = kernel == 0
        assert zero.mean() == pytest.approx(0.5, abs=0.01)
        assert len(np.unique(kernel)) <= 8
        assert np.abs(original[zero]).mean() < np.abs(original[~zero]).mean() / 2
    for name in ("stem_bn", "dense_bn"):
        for a, b in zip(
            network.get_layer(name).get_weights()[2:], thinned.get_layer(name).get_weights()[2:], strict=True
        ):
            np.testing.assert_array_equal(a, b)  # their statistics
    assert record.zeros == pytest.approx(0.5, abs=0.01)
    assert record.values <= 8
    assert record.accuracy >= record.accuracy_before - 0.1
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_pruned_model_is_smaller_once_deflated_and_says_what_was_done(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    lines: list[str] = []
    plain = Model.load(
        quantize(*made, "fp32", tmp_path / "plain.tflite", report=lines.append, accept_loss=True)
    )
    options = PruneOptions(0.75, None, TRAINING)
    model = Model.load(
        quantize(
            *made, "fp32", tmp_path / "pruned.tflite", report=lines.append, thin=options, accept_loss=True
        )
    )
    size = len(zlib.compress(model.flatbuffer))
    assert size < len(zlib.compress(plain.flatbuffer))
    assert model.manifest.metrics["prune.deflated_bytes"] == size
    assert model.manifest.metrics["prune.zeros"] == pytest.approx(0.75, abs=0.01)
    assert "thinned before conversion: 75 % of those in kernels are zero" in model.card
    assert model.manifest.gate is not None
    assert model.manifest.gate.max_difference > 0
    assert "prune.zeros" not in plain.manifest.metrics
    assert f"{size / 1e6:.2f} MB once deflated" in lines


@pytest.mark.slow
def test_pruning_takes_place_when_time_is_up_at_once(made: tuple[Path, Path]) -> None:
    options = PruneOptions(0.5, None, QatOptions(minutes=1e-9))
    network = load_trained(made[0] / "model.keras")
    _thinned, record = prune(
        network, TrainedRun.read(made[0]), TileList.read(made[1]), options, lambda _line: None
    )
    assert record.zeros == pytest.approx(0.5, abs=0.01)


def test_what_cannot_be_pruned_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    for sparsity, clusters in ((None, None), (0.0, None), (1.0, 8), (0.5, 1)):
        with pytest.raises(OptionError, match="expected"):
            PruneOptions(sparsity, clusters)
    with pytest.raises(OptionError, match="int8-qat"):
        quantize(*made, "int8-qat", tmp_path / "m.tflite", report=lambda _line: None, thin=PruneOptions())
    assert not list(tmp_path.iterdir())
