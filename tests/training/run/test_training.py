"""A run: stages, budget, files whole at any moment, bad input refused before or told during training."""

from __future__ import annotations

import ast
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tiny_run import RECIPE, STAGES, KilledError, edited, killed_at, log_of, run, small

pytest.importorskip("keras")

from her2edge.errors import (
    MissingInputError,
    ModelError,
    OptionError,
    OutputError,
    OutputWriteError,
)
from her2edge.files import sha256_of
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.network import networks
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import load_trained
from her2edge_training.recipe import Recipe, Split, read_recipe
from her2edge_training.recipes import load_recipe
from her2edge_training.run.errors import TrainingDivergedError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.limits import Best
from her2edge_training.run.metrics import count
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.train import train

pytestmark = pytest.mark.usefixtures("fresh_session")


def test_a_run_leaves_every_file_and_says_what_it_did(tile_list: Path, tmp_path: Path) -> None:
    result, lines = run(tile_list, tmp_path / "run")
    names = {path.name for path in result.run.iterdir()}
    assert names == {
        ".her2edge-run",
        "recipe.json",
        "environment.json",
        "split.csv",
        "unreadable.csv",
        "log.csv",
        "tensorboard",
        "best.weights.h5",
        "model.keras",
        "predictions.csv",
        "features.npz",
        "metrics.json",
    }
    rows = log_of(result.run)
    assert (
        (result.run / "log.csv")
        .read_text()
        .startswith("epoch,stage,tile_px,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n")
    )
    assert [(row.epoch, row.stage, row.tile_px) for row in rows] == [
        *[(i, 1, 32) for i in (1, 2, 3)],
        *[(i, 2, 64) for i in (4, 5)],
    ]
    assert read_recipe(result.run / "recipe.json") == RECIPE
    environment = json.loads((result.run / "environment.json").read_text())
    assert environment["packages"]["keras"] == keras.__version__
    assert (environment["seed"], environment["weights_sha256"]) == (1, None)
    today = datetime.datetime.now(datetime.UTC).date()
    assert today - datetime.date.fromisoformat(environment["begun"]) <= datetime.timedelta(days=1)
    metrics = json.loads((result.run / "metrics.json").read_text())
    assert metrics["protocol"] == "slide-grouped"
    assert metrics["test"]["slides"] == 3
    assert sum(map(sum, metrics["test"]["confusion"])) == metrics["test"]["tiles"] == 9
    assert metrics["test"]["accuracy"] == result.test.accuracy
    assert any("optimizer state" in line for line in lines)
    assert any(line.startswith("test: ") for line in lines)


def test_the_model_holds_the_best_weights_at_the_full_size(tile_list: Path, tmp_path: Path) -> None:
    result, _ = run(tile_list, tmp_path / "run")
    model = load_trained(result.model)
    assert model.input_shape == (None, 64, 64, 3)
    assert (tmp_path / "run" / "best.weights.h5").stat().st_size < 100_000
    best = small(RECIPE, 64)
    best.load_weights(tmp_path / "run" / "best.weights.h5")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.get_layer("dense_bn").momentum == 0.5


def test_a_run_repeats_itself(tile_list: Path, tmp_path: Path) -> None:
    first, second = (run(tile_list, tmp_path / name)[0] for name in "ab")
    for name in ("recipe.json", "split.csv"):
        assert (first.run / name).read_bytes() == (second.run / name).read_bytes()
    one, other = (json.loads((each.run / "environment.json").read_text()) for each in (first, second))
    assert one | {"begun": other["begun"]} == other, "all but the day"
    for a, b in zip(log_of(first.run), log_of(second.run), strict=True):
        np.testing.assert_allclose(a.val_loss, b.val_loss, rtol=1e-3)


def test_limits_end_stages_and_still_leave_a_model(tile_list: Path, tmp_path: Path) -> None:
    result, _ = run(tile_list, tmp_path / "a", epochs_limit=1)
    assert result.epochs == 2
    result, lines = run(tile_list, tmp_path / "b", minutes=1e-9)
    assert result.epochs == 1
    assert "stage 2: left out, time is up" in lines
    assert load_trained(result.model).input_shape == (None, 64, 64, 3)
    hurried = replace(RECIPE, stages=tuple(replace(stage, minutes=1e-9) for stage in STAGES))
    assert run(tile_list, tmp_path / "c", hurried)[0].epochs == 2


def test_the_best_result_is_the_more_accurate_then_the_lower_loss() -> None:
    best = Best()
    offers = [(0.5, 1.0), (0.5, 1.1), (0.5, 0.9), (0.4, 0.1), (0.6, 3.0)]
    assert [best.offer(*offer, epoch=i) for i, offer in enumerate(offers)] == [True, False, True, False, True]
    assert best.epoch == 4


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(
    tile_list: Path, tmp_path: Path
) -> None:
    broken = (STAGES[0], replace(STAGES[1], learning_rate=1e38))
    with pytest.raises(
        TrainingDivergedError, match=r"stage 2, epoch 4.*checkpoint.npz hold the epochs before"
    ):
        run(tile_list, tmp_path / "run", replace(RECIPE, stages=broken))
    kept = small(RECIPE, 64)
    kept.load_weights(tmp_path / "run" / "best.weights.h5")
    assert all(np.isfinite(value).all() for value in kept.get_weights())
    assert [row.epoch for row in log_of(tmp_path / "run")] == [1, 2, 3]
    assert not (tmp_path / "run" / "model.keras").exists()


def test_a_folder_with_anything_in_it_is_never_overwritten(tile_list: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty \(it holds notes.txt\)"):
        run(tile_list, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tile_list: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="which is no folder"):
        run(tile_list, tmp_path / "file" / "run")


def test_a_full_disk_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "best.weights.h5"
    path.write_bytes(b"former")

    def fills_up(temporary: str) -> None:
        Path(temporary).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputWriteError, match="No space left"):
        NewRun(tmp_path).write_best_weights(fills_up)
    assert path.read_bytes() == b"former"
    assert [item.name for item in tmp_path.iterdir()] == ["best.weights.h5"]


def test_a_run_begins_with_the_best_weights_of_a_former_one_and_records_it(
    tile_list: Path, tmp_path: Path
) -> None:
    former, _ = run(tile_list, tmp_path / "former")
    (tmp_path / "data").mkdir()
    others = edited(tile_list, tmp_path / "data", ",patient", ",other")
    others.write_text(others.read_text().replace(",other,site,label", ",patient,site,label", 1))
    result, lines = run(others, tmp_path / "next", start=former.run, epochs_limit=1)
    assert any(line.startswith("stage 1 of 2") for line in lines[:8])
    assert any(line.startswith("stage 1 begins at validation") for line in lines[:9])
    started_from = json.loads((result.run / "environment.json").read_text())["started_from"]
    assert started_from["recipe"] == "tiny"
    assert started_from["weights_sha256"] == sha256_of(former.run / "best.weights.h5")
    assert started_from["seconds"] > 0


def test_a_former_run_whose_patients_would_be_scored_is_refused(tile_list: Path, tmp_path: Path) -> None:
    former, _ = run(tile_list, tmp_path / "former")
    turned = replace(RECIPE, seed=RECIPE.seed + 1)
    with pytest.raises(OptionError, match="former run was trained on or chosen by"):
        run(tile_list, tmp_path / "next", turned, start=former.run)
    assert not (tmp_path / "next").exists()


def test_a_former_run_knows_a_patient_whose_name_spreadsheets_take_for_a_formula(
    tile_list: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    named = edited(tile_list, tmp_path / "data", ",patient", ",=patient")
    named.write_text(named.read_text().replace(",=patient,site,label", ",patient,site,label", 1))
    former, _ = run(named, tmp_path / "former", epochs_limit=1)
    turned = replace(RECIPE, seed=RECIPE.seed + 1)
    with pytest.raises(OptionError, match="former run was trained on or chosen by"):
        run(named, tmp_path / "next", turned, start=former.run)


def test_a_former_run_without_a_whole_epoch_is_refused(tile_list: Path, tmp_path: Path) -> None:
    former, _ = run(tile_list, tmp_path / "former", epochs_limit=1)
    (former.run / "log.csv").unlink()
    with pytest.raises(MissingInputError, match=r"found no log\.csv"):
        run(tile_list, tmp_path / "next", start=former.run)


def test_a_former_run_without_weights_is_refused(tile_list: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"best\.weights\.h5"):
        run(tile_list, tmp_path / "next", start=tmp_path)


def test_no_tile_list_and_odd_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        run(tmp_path / "none.csv", tmp_path / "run")
    for options in ({"epochs_limit": 0}, {"minutes": -1}, {"workers": 0}, {"minutes": float("nan")}):
        with pytest.raises(OptionError, match="above 0"):
            TrainOptions(**options)


def test_weights_with_another_hash_are_refused(tile_list: Path, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    recipe = replace(RECIPE, weights=str(tmp_path / "w.h5"), weights_sha256="0" * 64)
    with pytest.raises(OptionError, match="has sha256"):
        run(tile_list, tmp_path / "run", recipe)


def test_a_frozen_stage_trains_what_is_behind_the_backbone_and_nothing_else(
    tile_list: Path, tmp_path: Path
) -> None:
    kept: list[list[np.ndarray]] = []

    def build(recipe: Recipe, tile_px: int) -> Any:
        model = small(recipe, tile_px)
        kept.append([np.asarray(weight) for weight in model.get_layer(index=2).weights])
        return model

    frozen = replace(STAGES[1], frozen_backbone=True)
    one, lines = run(tile_list, tmp_path / "one", replace(RECIPE, stages=(frozen,)), build=build)
    trained = load_trained(one.model)
    assert any("backbone frozen" in line for line in lines)
    assert "stage 1: the backbone stays at random values, expected weights to start from" in lines
    np.testing.assert_array_equal(trained.layers[2].get_weights()[0], kept[0][0])
    assert not np.array_equal(trained.get_layer("logits").get_weights()[1], np.zeros(3))
    two, _ = run(tile_list, tmp_path / "two", replace(RECIPE, stages=(frozen, STAGES[1])))
    after = [load_trained(two.model).layers[2].get_weights()[0], trained.layers[2].get_weights()[0]]
    assert not np.array_equal(*after), "the stage behind a frozen one trains the backbone too"


def test_a_killed_frozen_stage_goes_on(tile_list: Path, tmp_path: Path) -> None:
    frozen = replace(RECIPE, stages=(replace(STAGES[1], frozen_backbone=True),), class_weights="balanced")
    whole, _ = run(tile_list, tmp_path / "whole", frozen)
    with pytest.raises(KilledError):
        run(tile_list, tmp_path / "run", frozen, opened=killed_at("append_log", 2))
    again, lines = run(tile_list, tmp_path / "run", frozen)
    assert "going on after epoch 1" in lines
    assert again.test == whole.test
    assert read_recipe(again.run / "recipe.json") == frozen


def test_weights_of_another_network_are_refused_before_a_tile_is_decoded(
    tile_list: Path, tmp_path: Path
) -> None:
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "w.weights.h5")
    recipe = replace(RECIPE, weights=str(tmp_path / "w.weights.h5"))
    with pytest.raises(ModelError, match="expected weights of resnet50 without top"):
        run(tile_list, tmp_path / "run", recipe, build=None)
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_tile_random_runs_say_so(tile_list: Path, tmp_path: Path) -> None:
    result, lines = run(
        tile_list, tmp_path / "run", replace(RECIPE, split=Split("tile-random")), epochs_limit=1
    )
    assert result.protocol == "tile-random"
    assert any("tile-random split" in line for line in lines)


def test_a_score_is_counted_with_actual_in_rows() -> None:
    result = count([0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 2, 0], 3, slides=3, patients=2)
    assert result.confusion == ((1, 2, 0), (0, 1, 0), (1, 0, 1))
    assert (result.per_class, result.accuracy, result.tiles) == ((3, 1, 2), 0.5, 6)
    np.testing.assert_allclose(result.recall, (1 / 3, 1, 1 / 2))


def test_nothing_in_the_training_room_imports_a_backend() -> None:
    for path in Path(networks.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"tensorflow", "jax", "torch"}, path


def test_predictions_are_read_back_as_the_scores_counted_them(tile_list: Path, tmp_path: Path) -> None:
    result, _ = run(tile_list, tmp_path / "run", epochs_limit=1)
    part = RunFolder(result.run).predictions("test", RECIPE.labels)
    again = count(part.actual, part.logits.argmax(axis=1), 3, len(set(part.slides)), len(set(part.groups)))
    assert again == result.test
    assert set(part.sites) == {"site"}


def test_the_validation_loss_is_that_of_the_tiles_whatever_fills_up_a_batch(
    tile_list: Path, tmp_path: Path
) -> None:
    """9 tiles in batches of 4; the cross entropy by hand from the logits kept."""
    recipe = replace(RECIPE, stages=(replace(STAGES[1], learning_rate=1e-2),))
    result, _ = run(tile_list, tmp_path / "run", recipe)
    kept = RunFolder(result.run).predictions("validation", RECIPE.labels)
    chosen = kept.logits[np.arange(9), kept.actual]
    loss = np.mean(np.log(np.exp(kept.logits.astype(np.float64)).sum(axis=1)) - chosen)
    accuracy = np.mean(kept.logits.argmax(axis=1) == kept.actual)
    best = max((row.val_accuracy, -row.val_loss) for row in log_of(result.run))
    np.testing.assert_allclose(best, (accuracy, -loss), rtol=1e-4)


@pytest.mark.slow
def test_the_demo_recipe_runs_from_end_to_end_in_its_smoke_size(tile_list: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = load_recipe("demo_se_resnet50", smoke=True)
    result = train(recipe, TileList.read(tile_list), tmp_path / "run", report=lines.append)
    assert (result.epochs, result.test.tiles) == (3, 9)
    assert (
        "se_resnet50: 25,316,355 weights (25,261,699 trainable, 54,656 not); optimizer state 50,523,398"
        in lines
    )
    model = load_trained(result.model)
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 3), (None, 3))
