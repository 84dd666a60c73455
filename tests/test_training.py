"""A run: stages, budget, files whole at any moment, bad input refused before or told during training."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import write_cohort

pytest.importorskip("keras")

from her2edge.errors import (
    MissingInputError,
    ModelError,
    OptionError,
    OutputError,
    OutputWriteError,
    TileError,
)
from her2edge_training import networks, watch
from her2edge_training.backend import keras
from her2edge_training.initial import sha256_of
from her2edge_training.metrics import count
from her2edge_training.networks import load_trained
from her2edge_training.predictions import read_predictions
from her2edge_training.recipe import Plateau, Recipe, Split, Stage, Stain, load_recipe, read_recipe
from her2edge_training.train import RunResult, train
from her2edge_training.watch import LOG_COLUMNS, Best, TrainingDivergedError

STAGES = (
    Stage(tile_px=32, epochs=3, learning_rate=1e-2, batch=8, crops_per_tile=2),
    Stage(tile_px=64, epochs=2, learning_rate=1e-3, batch=4),
)
RECIPE = Recipe("tiny", "se_resnet50", STAGES, tile_px=64, stain=Stain("off"), batch_norm_momentum=0.5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(autouse=True)
def _fresh_session() -> Iterator[None]:
    yield
    keras.backend.clear_session()


def small(recipe: Recipe, tile_px: int) -> Any:
    """A network of a few hundred weights in the place of 25 million."""
    pixels = keras.Input((tile_px, tile_px, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(8, 3, strides=4)(x)
    x = keras.layers.BatchNormalization(name="dense_bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(pixels, keras.layers.Dense(len(recipe.labels))(x))


def run(manifest: Path, out: Path, recipe: Recipe = RECIPE, **options: Any) -> tuple[RunResult, list[str]]:
    lines: list[str] = []
    return train(recipe, manifest, out, report=lines.append, build=small, **options), lines


def log_of(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_every_file_and_says_what_it_did(manifest: Path, tmp_path: Path) -> None:
    result, lines = run(manifest, tmp_path / "run")
    names = {path.name for path in result.run.iterdir()}
    assert names == {
        ".her2edge-run",
        "recipe.json",
        "environment.json",
        "split.csv",
        "log.csv",
        "tensorboard",
        "best.weights.h5",
        "model.keras",
        "predictions.csv",
        "metrics.json",
    }
    rows = log_of(result.run)
    assert tuple(rows[0]) == LOG_COLUMNS
    assert [(row["epoch"], row["stage"], row["tile_px"]) for row in rows] == [
        *[(str(i), "1", "32") for i in (1, 2, 3)],
        *[(str(i), "2", "64") for i in (4, 5)],
    ]
    assert read_recipe(result.run / "recipe.json") == RECIPE
    environment = json.loads((result.run / "environment.json").read_text())
    assert environment["packages"]["keras"] == keras.__version__
    assert (environment["seed"], environment["weights_sha256"]) == (1, None)
    metrics = json.loads((result.run / "metrics.json").read_text())
    assert metrics["protocol"] == "slide-grouped"
    assert metrics["test"]["slides"] == 3
    assert sum(map(sum, metrics["test"]["confusion"])) == metrics["test"]["tiles"] == 9
    assert metrics["test"]["accuracy"] == result.test.accuracy
    assert any("optimizer state" in line for line in lines)
    assert any(line.startswith("test: ") for line in lines)


def test_the_model_holds_the_best_weights_at_the_full_size(manifest: Path, tmp_path: Path) -> None:
    result, _ = run(manifest, tmp_path / "run")
    model = load_trained(result.model)
    assert model.input_shape == (None, 64, 64, 3)
    assert (tmp_path / "run" / "best.weights.h5").stat().st_size < 100_000
    best = small(RECIPE, 64)
    best.load_weights(tmp_path / "run" / "best.weights.h5")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.get_layer("dense_bn").momentum == 0.5


def test_a_run_repeats_itself(manifest: Path, tmp_path: Path) -> None:
    first, second = (run(manifest, tmp_path / name)[0] for name in "ab")
    for name in ("recipe.json", "split.csv", "environment.json"):
        assert (first.run / name).read_bytes() == (second.run / name).read_bytes()
    for a, b in zip(log_of(first.run), log_of(second.run), strict=True):
        np.testing.assert_allclose(float(a["val_loss"]), float(b["val_loss"]), rtol=1e-3)


def test_limits_end_stages_and_still_leave_a_model(manifest: Path, tmp_path: Path) -> None:
    result, _ = run(manifest, tmp_path / "a", epochs_limit=1)
    assert result.epochs == 2
    result, lines = run(manifest, tmp_path / "b", minutes=1e-9)
    assert result.epochs == 1
    assert "stage 2: left out, time is up" in lines
    assert load_trained(result.model).input_shape == (None, 64, 64, 3)
    hurried = replace(RECIPE, stages=tuple(replace(stage, minutes=1e-9) for stage in STAGES))
    assert run(manifest, tmp_path / "c", hurried)[0].epochs == 2


def test_the_best_result_is_the_more_accurate_then_the_lower_loss() -> None:
    best = Best()
    offers = [(0.5, 1.0), (0.5, 1.1), (0.5, 0.9), (0.4, 0.1), (0.6, 3.0)]
    assert [best.offer(*offer, epoch=i) for i, offer in enumerate(offers)] == [True, False, True, False, True]
    assert best.epoch == 4


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(
    manifest: Path, tmp_path: Path
) -> None:
    broken = (STAGES[0], replace(STAGES[1], learning_rate=1e38))
    with pytest.raises(
        TrainingDivergedError, match=r"stage 2, epoch 4.*checkpoint.npz hold the epochs before"
    ):
        run(manifest, tmp_path / "run", replace(RECIPE, stages=broken))
    kept = small(RECIPE, 64)
    kept.load_weights(tmp_path / "run" / "best.weights.h5")
    assert all(np.isfinite(value).all() for value in kept.get_weights())
    assert [row["epoch"] for row in log_of(tmp_path / "run")] == ["1", "2", "3"]
    assert not (tmp_path / "run" / "model.keras").exists()


def test_a_folder_with_anything_in_it_is_never_overwritten(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty \(it holds notes.txt\)"):
        run(manifest, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_refused(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        run(manifest, tmp_path / "file" / "run")


def test_a_full_disk_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.weights.h5"
    path.write_bytes(b"former")

    class Full:
        def save_weights(self, temporary: str) -> None:
            Path(temporary).write_bytes(b"half")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch, "_bare", lambda model: model)
    with pytest.raises(OutputWriteError, match="No space left"):
        watch.save_weights(Full(), path)
    assert path.read_bytes() == b"former"
    assert [item.name for item in tmp_path.iterdir()] == ["best.weights.h5"]


def test_a_run_begins_with_the_best_weights_of_a_former_one_and_records_it(
    manifest: Path, tmp_path: Path
) -> None:
    former, _ = run(manifest, tmp_path / "former")
    (tmp_path / "data").mkdir()
    others = edited(manifest, tmp_path / "data", ",patient", ",other")
    others.write_text(others.read_text().replace(",other,site,label", ",patient,site,label", 1))
    result, lines = run(others, tmp_path / "next", start=former.run, epochs_limit=1)
    assert lines[2].startswith("stage 1 of 2")
    assert lines[3].startswith("stage 1 begins at validation")
    said = json.loads((result.run / "environment.json").read_text())["started_from"]
    assert said["recipe"] == "tiny"
    assert said["weights_sha256"] == sha256_of(former.run / "best.weights.h5")
    assert said["seconds"] > 0


def test_a_former_run_whose_patients_would_be_scored_is_refused(manifest: Path, tmp_path: Path) -> None:
    former, _ = run(manifest, tmp_path / "former")
    turned = replace(RECIPE, seed=RECIPE.seed + 1)
    with pytest.raises(OptionError, match="former run was trained on or chosen by"):
        run(manifest, tmp_path / "next", turned, start=former.run)
    assert not (tmp_path / "next").exists()


def test_a_former_run_without_weights_is_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"best\.weights\.h5"):
        run(manifest, tmp_path / "next", start=tmp_path)


def edited(manifest: Path, folder: Path, old: str, new: str) -> Path:
    """The cohort with its manifest's text changed."""
    for tile in manifest.parent.glob("*.png"):
        (folder / tile.name).symlink_to(tile)
    path = folder / "manifest.csv"
    path.write_text(manifest.read_text().replace(old, new))
    return path


def test_background_tiles_are_left_out_and_counted(manifest: Path, tmp_path: Path) -> None:
    path = edited(
        manifest,
        tmp_path,
        "slide00,patient00,site,0/1+,0,0,0.25,0.95",
        "slide00,patient00,site,0/1+,0,0,0.25,0.4",
    )
    _, lines = run(path, tmp_path / "run", epochs_limit=1)
    assert any("1 left out as background" in line for line in lines)


def test_tiles_of_another_scale_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(TileError, match=r"0.5 um per pixel, the recipe expects 0.25"):
        run(edited(manifest, tmp_path, ",0.25,", ",0.5,"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_background_is_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(TileError, match="all 36 tiles are background"):
        run(edited(manifest, tmp_path, ",0.95,", ",0.1,"), tmp_path / "run")


def test_a_damaged_tile_is_named(manifest: Path, tmp_path: Path) -> None:
    path = edited(manifest, tmp_path, "", "")
    (tmp_path / "c1-s2-t0.png").unlink()
    (tmp_path / "c1-s2-t0.png").write_bytes(b"damaged")
    with pytest.raises(TileError, match=r"c1-s2-t0.png has sha256"):
        run(path, tmp_path / "run")


def test_no_manifest_and_odd_limits_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        run(tmp_path / "none.csv", tmp_path / "run")
    for options in ({"epochs_limit": 0}, {"minutes": -1}, {"workers": 0}):
        with pytest.raises(OptionError, match="above 0"):
            run(manifest, tmp_path / "run", **options)


def test_weights_with_another_hash_are_refused(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    recipe = replace(RECIPE, weights=str(tmp_path / "w.h5"), weights_sha256="0" * 64)
    with pytest.raises(OptionError, match="has sha256"):
        run(manifest, tmp_path / "run", recipe)


def test_tile_random_runs_say_so(manifest: Path, tmp_path: Path) -> None:
    result, lines = run(
        manifest, tmp_path / "run", replace(RECIPE, split=Split("tile-random")), epochs_limit=1
    )
    assert result.protocol == "tile-random"
    assert any("tile-random split" in line for line in lines)


def test_a_score_is_counted_with_actual_in_rows() -> None:
    result = count([0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 2, 0], 3, slides=3, patients=2)
    assert result.confusion == ((1, 2, 0), (0, 1, 0), (1, 0, 1))
    assert (result.per_class, result.accuracy, result.tiles) == ((3, 1, 2), 0.5, 6)
    np.testing.assert_allclose(result.recall, (1 / 3, 1, 1 / 2))


def test_nothing_in_the_training_room_imports_a_backend() -> None:
    for path in Path(networks.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"tensorflow", "jax", "torch"}, path


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize(
    ("moment", "epoch"),
    [
        ("append_log", 2),
        *(pytest.param("append_log", epoch, marks=pytest.mark.slow) for epoch in (1, 4)),
        *(pytest.param("save_checkpoint", epoch, marks=pytest.mark.slow) for epoch in (1, 2, 4)),
    ],
)
def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, epoch: int
) -> None:
    """Killed after an epoch's best weights, and just before its checkpoint."""
    whole, _ = run(manifest, tmp_path / "whole")
    real, calls = getattr(watch, moment), 0

    def dies(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= epoch:
            raise KilledError
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(watch, moment, dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "killed")
    assert not (tmp_path / "killed" / "metrics.json").exists()
    keras.backend.clear_session()
    resumed, lines = run(manifest, tmp_path / "killed")
    assert any(line.startswith("going on") for line in lines)
    for name in ("metrics.json", "predictions.csv", "split.csv", "recipe.json"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes(), name
    columns = [name for name in LOG_COLUMNS if name != "seconds"]
    for one, other in zip(log_of(resumed.run), log_of(whole.run), strict=True):
        assert [one[name] for name in columns] == [other[name] for name in columns]
    assert not (resumed.run / "checkpoint.npz").exists()


def test_the_plateau_goes_on_where_it_was(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate that falls after two epochs without improvement, whichever of them came before."""
    stages = (Stage(tile_px=32, epochs=6, learning_rate=1e-9, batch=8),)
    recipe = replace(RECIPE, stages=stages, plateau=Plateau(factor=0.5, patience=2, minimum=1e-12))
    run(manifest, tmp_path / "whole", recipe)
    real = watch.save_checkpoint

    def dies(folder: Path, model: Any, progress: Any) -> None:
        real(folder, model, progress)
        if progress.epochs in (2, 4):
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "save_checkpoint", dies)
        for _ in range(2):
            with pytest.raises(KilledError):
                run(manifest, tmp_path / "killed", recipe)
    run(manifest, tmp_path / "killed", recipe)
    rates = [[row["learning_rate"] for row in log_of(tmp_path / name)] for name in ("whole", "killed")]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_an_unfinished_run_of_another_kind_and_a_finished_one_are_refused(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "append_log", dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "run")
    with pytest.raises(OutputError, match=r"another recipe\.json"):
        run(manifest, tmp_path / "run", replace(RECIPE, seed=2))
    run(manifest, tmp_path / "run", epochs_limit=1)
    with pytest.raises(OutputError, match="finished run"):
        run(manifest, tmp_path / "run")


def test_a_damaged_checkpoint_is_refused_with_what_to_do(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(folder: Path, model: Any, progress: Any) -> None:
        (folder / "checkpoint.npz").write_bytes(b"PK\x03\x04 torn")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "save_checkpoint", dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "run")
    with pytest.raises(ModelError, match="remove it"):
        run(manifest, tmp_path / "run")


def test_predictions_are_read_back_as_the_scores_counted_them(manifest: Path, tmp_path: Path) -> None:
    result, _ = run(manifest, tmp_path / "run", epochs_limit=1)
    found = read_predictions(result.run, "test", RECIPE.labels)
    again = count(
        found.actual, found.logits.argmax(axis=1), 3, len(set(found.slides)), len(set(found.groups))
    )
    assert again == result.test
    assert set(found.sites) == {"site"}


@pytest.mark.slow
def test_the_demo_recipe_runs_from_end_to_end_in_its_smoke_size(manifest: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = load_recipe("demo_se_resnet50", smoke=True)
    result = train(recipe, manifest, tmp_path / "run", report=lines.append)
    assert (result.epochs, result.test.tiles) == (2, 9)
    assert (
        "se_resnet50: 25,316,355 weights (25,261,699 trainable, 54,656 not); optimizer state 50,523,398"
        in lines
    )
    model = load_trained(result.model)
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 3), (None, 3))
