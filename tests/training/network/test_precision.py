"""Mixed precision: for training only, for one network only; the kept one is float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tiny_run import RECIPE, KilledError, log_of, run, small

pytest.importorskip("keras")

from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.network import check_network
from her2edge_training.cohort.split import make_split
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network.backend import computing_in, keras
from her2edge_training.network.networks import build_model, load_trained
from her2edge_training.network.predict import predict, with_features
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Recipe
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.records import Progress
from her2edge_training.run.train import train

MIXED = replace(RECIPE, precision="mixed_bfloat16")


pytestmark = pytest.mark.usefixtures("fresh_session")


def test_a_mixed_run_ends_near_a_float32_one_and_keeps_a_float32_network(
    tile_list: Path, tmp_path: Path
) -> None:
    """bfloat16 has eight bits: losses between 0.4 and 1 part by less than 0.02 in five epochs."""
    computed, policy = [], keras.config.dtype_policy()

    def without_dropout(recipe: Any, tile_px: int) -> Any:
        model = small(recipe, tile_px)
        model.get_layer("dropout").rate = 0  # which units it takes depends on the precision
        computed.append((tile_px, {layer.compute_dtype for layer in model.layers}))
        return model

    mixed = train(MIXED, TileList.read(tile_list), tmp_path / "mixed", build=without_dropout)
    half = {"bfloat16", "float32"}  # the logits stay float32
    assert computed == [(32, half), (64, half), (64, {"float32"})]
    assert keras.config.dtype_policy() is policy
    plain = train(RECIPE, TileList.read(tile_list), tmp_path / "plain", build=without_dropout)
    for column in ("loss", "val_loss"):
        one, other = ([getattr(row, column) for row in log_of(r.run)] for r in (mixed, plain))
        np.testing.assert_allclose(one, other, atol=0.02)
        assert one != other
    assert json.loads((mixed.run / "environment.json").read_text())["float"] == "mixed_bfloat16"

    model = load_trained(mixed.model)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert check_network(model) == 64
    tiles = make_split(TileList.read(tile_list).records, RECIPE.split, RECIPE.seed).select("test")
    sequence = TileSequence(tiles, RECIPE.labels, TileStore(None), tile_px=64, batch=9)
    kept = RunFolder(mixed.run).predictions("test", RECIPE.labels).logits
    np.testing.assert_allclose(kept, predict(with_features(model), sequence)[0], atol=1e-5)
    with computing_in("mixed_bfloat16"):
        halved = small(RECIPE, 64)
    halved.set_weights(model.get_weights())
    assert np.abs(predict(with_features(halved), sequence)[0] - kept).max() > 1e-3


def test_a_run_that_fails_leaves_no_precision_behind(tile_list: Path, tmp_path: Path) -> None:
    def broken(_recipe: Any, _tile_px: int) -> Any:
        raise KeyboardInterrupt

    before = keras.config.dtype_policy()
    with pytest.raises(KeyboardInterrupt):
        train(MIXED, TileList.read(tile_list), tmp_path / "broken", build=broken)
    assert keras.config.dtype_policy() is before
    assert before.name == "float32"


@pytest.mark.slow
def test_float16_scales_its_loss_and_goes_on_after_a_kill(tile_list: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="mixed_float16", stages=RECIPE.stages[:1], tile_px=32)
    whole, _ = run(tile_list, tmp_path / "whole", recipe)
    models: list[Any] = []
    scales: list[float] = []

    def seen(recipe: Recipe, tile_px: int) -> Any:
        models.append(small(recipe, tile_px))
        return models[-1]

    class KilledAfter(NewRun):
        def write_checkpoint(self, values: Any, progress: Progress) -> None:
            super().write_checkpoint(values, progress)
            scales.append(float(models[-1].optimizer.dynamic_scale))
            if progress.epochs == 2:
                raise KilledError

    with pytest.raises(KilledError):
        run(tile_list, tmp_path / "killed", recipe, build=seen, opened=KilledAfter)
    assert min(scales) > 1
    resumed, _ = run(tile_list, tmp_path / "killed", recipe)
    for column in ("loss", "val_loss"):
        assert [getattr(row, column) for row in log_of(resumed.run)] == [
            getattr(row, column) for row in log_of(whole.run)
        ]


@pytest.mark.parametrize("name", ["se_resnet50", "inceptionv3"])
def test_pixels_are_prepared_in_float32(name: str) -> None:
    """Channel means have more digits than bfloat16."""
    with computing_in("mixed_bfloat16"):
        model = build_model(name, tile_px=80)
    assert model.get_layer("preprocess").compute_dtype == "float32"
    assert model.get_layer("logits").compute_dtype == "float32"
    assert model.get_layer("features").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.slow
def test_what_was_trained_in_mixed_precision_can_be_converted(tile_list: Path, tmp_path: Path) -> None:
    result, _ = run(tile_list, tmp_path / "mixed", MIXED, epochs_limit=1)
    assert convert(load_trained(result.model), "fp32")
