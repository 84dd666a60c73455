"""From a trained ResNet to both exports, by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_resnet
from msgspec.structs import replace
from tiny_run import RECIPE
from training_data import write_cohort

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")

from her2edge import Model
from her2edge.runtime import open_runtime
from her2edge_cli.main import main
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.recipe import Stage
from her2edge_training.run.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(run folder, tile list)"""
    tile_list = write_cohort(tmp_path_factory.mktemp("cohort"), slides=8)

    def build(_recipe: Any, tile_px: int) -> Any:
        return tiny_resnet.build(tile_px)

    folder = tmp_path_factory.mktemp("runs") / "run"
    recipe = replace(RECIPE, stages=(Stage(tile_px=64, epochs=1, learning_rate=1e-3, batch=8),))
    return train(
        recipe, TileList.read(tile_list), folder, report=lambda _line: None, build=build
    ).run, tile_list


def quantize(trained: tuple[Path, Path], out: Path, *options: str) -> int:
    folder, tile_list = trained
    return main(["quantize", str(folder), "--data", str(tile_list), "--out", str(out), *options])


@pytest.mark.slow
def test_both_exports_of_a_trained_network_answer_alike_and_say_which_they_are(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {}
    for export in ("portable", "fast"):
        out = tmp_path / f"{export}.tflite"
        options = ("--scheme", "int8", "--name", "one", "--export", export, "--accept-loss")
        assert quantize(trained, out, *options) == 0  # fewer held-out tiles than the gate asks for
        capsys.readouterr()
        assert main(["inspect", str(out)]) == 0
        assert f"{export}: " in capsys.readouterr().out
        models[export] = Model.load(out)
    portable, fast = models["portable"], models["fast"]
    assert portable.manifest.metrics == fast.manifest.metrics
    assert portable.manifest.gate == fast.manifest.gate
    assert portable.manifest.temperature == fast.manifest.temperature
    assert "as the SDK packs it" in fast.card
    assert "as the SDK packs it" not in portable.card
    runtimes = [open_runtime("litert", model, 1) for model in (portable, fast)]
    for tile in (*fast.golden.tiles, np.full((64, 64, 3), 255, np.uint8)):
        one, other = (runtime.logits_and_features(tile) for runtime in runtimes)
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
def test_fast_in_float_is_refused_and_nothing_is_written(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize(trained, tmp_path / "m.tflite", "--scheme", "fp16", "--export", "fast") == 2
    assert "use 'portable'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
