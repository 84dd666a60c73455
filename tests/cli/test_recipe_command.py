"""her2edge recipe prints one to start from; train's options are found in the run's record."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_data import write_cohort

from her2edge.files import sha256_of
from her2edge_cli.main import main
from her2edge_training.recipes import load_recipe, recipe_names

Capture = pytest.CaptureFixture[str]


def test_the_recipes_are_listed(capsys: Capture) -> None:
    assert main(["recipe"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(recipe_names())


def test_a_recipe_is_printed_and_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    assert main(["recipe", "paper_resnet50"]) == 0
    (tmp_path / "my.py").write_text(capsys.readouterr().out)
    assert load_recipe(tmp_path / "my.py") == load_recipe("paper_resnet50")


def test_a_misspelt_recipe_is_answered_with_the_nearest(capsys: Capture) -> None:
    assert main(["recipe", "paper_resnet"]) == 2
    assert "did you mean 'paper_resnet50'?" in capsys.readouterr().err


def test_training_from_imagenet_without_its_file_ends_before_a_tile_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pytest.importorskip("keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    data = write_cohort(tmp_path)
    for tile in tmp_path.glob("*.png"):
        tile.write_bytes(b"no picture")
    command = ["train", "paper_resnet50", "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(command) == 66
    said = capsys.readouterr().err
    assert "--download" in said
    assert "4d473c1dd8becc155b73f8504c6f6626" in said
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_training_starts_from_one_thing(tmp_path: Path, capsys: Capture) -> None:
    words = ["--data", tmp_path / "a.csv", "--out", tmp_path / "run", "--from", tmp_path, "--weights", "none"]
    assert main(["train", "paper_resnet50", *map(str, words)]) == 2
    assert "found both --from and --weights" in capsys.readouterr().err


def test_a_study_that_must_fail_later_fails_at_once(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("keras")
    (tmp_path / "two.py").write_text(
        "from her2edge_training.recipe import Recipe, Stage\n"
        "RECIPE = Recipe('two', 'resnet50', (Stage(64, 1, 1e-3, 4),), tile_px=64, labels=('0/1+', '3+'))\n"
    )
    data, out = write_cohort(tmp_path), tmp_path / "study"
    recipes = ["demo_se_resnet50", str(tmp_path / "two.py")]
    assert main(["study", *recipes, "--data", str(data), "--out", str(out)]) == 65
    assert "found label '2+'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_every_option_is_found_in_the_runs_record(tmp_path: Path, capsys: Capture) -> None:
    keras = pytest.importorskip("keras")
    weights = tmp_path / "own.weights.h5"
    keras.applications.EfficientNetB0(include_top=False, weights=None).save_weights(weights)
    data = write_cohort(tmp_path)
    data.write_text(data.read_text().replace(",0.25,", ",0.5,"))
    options = {
        "weights": weights,
        "epochs": 2,
        "batch": 6,
        "learning-rate": 5e-4,
        "seed": 9,
        "tile-px": 32,
        "mpp": 0.5,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    run = tmp_path / "run"
    command = ["train", "paper_efficientnetb0", "--smoke", "--data", str(data), "--out", str(run)]
    assert main([*command, *flags]) == 0, capsys.readouterr().err
    from her2edge_training.run.folder import RunFolder

    folder = RunFolder.open(run)
    recipe, environment = folder.recipe(), folder.environment()
    (stage,) = recipe.stages
    assert (stage.epochs, stage.batch, stage.learning_rate, stage.tile_px) == (2, 6, 5e-4, 32)
    assert (recipe.weights, recipe.seed, recipe.tile_px, recipe.mpp) == (str(weights), 9, 32, 0.5)
    assert (environment.weights_sha256, environment.seed) == (sha256_of(weights), 9)
    assert len(folder.log()) == 2
    names = "weights=own.weights.h5+epochs=2+batch=6+learning_rate=0.0005+seed=9+tile_px=32+mpp=0.5"
    assert folder.metrics().recipe == recipe.name == f"paper_efficientnetb0_smoke+{names}"
