"""Recipes: Table I to the digit, bad values refused, custom files read, no Keras needed to list them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from her2edge.errors import MissingInputError, OptionError
from her2edge_training.recipe import (
    Plateau,
    Recipe,
    Split,
    Stage,
    Stain,
    dump_recipe,
    load_recipe,
    read_recipe,
    recipe_names,
)

DEMO = load_recipe("demo_se_resnet50")


def test_the_paper_recipe_is_table_one() -> None:
    recipe = load_recipe("paper_se_resnet50")
    (stage,) = recipe.stages
    assert (stage.tile_px, stage.epochs, stage.learning_rate, stage.batch) == (512, 25, 1e-4, 16)
    assert (recipe.plateau.factor, recipe.plateau.minimum, recipe.dropout) == (0.5, 1e-7, 0.5)
    assert (recipe.weights, recipe.split) == ("imagenet", Split("tile-random", (0.6, 0.2, 0.2)))
    assert (recipe.se_ratio, recipe.separable_filters, recipe.dense_units) == (16, 512, 256)
    assert (recipe.labels, recipe.mpp, recipe.max_background_share) == (
        ("0/1+", "2+", "3+"),
        0.25,
        0.6,
    )


def test_the_demo_recipe_learns_on_growing_crops_of_whole_slides_apart() -> None:
    assert [stage.tile_px for stage in DEMO.stages] == [128, 256]
    assert DEMO.tile_px == 512
    assert (DEMO.weights, DEMO.split.protocol, DEMO.augmentations) == (
        None,
        "slide-grouped",
        ("flip", "rotate90"),
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_docstring_with_its_command_and_a_smoke_size(name: str) -> None:
    recipe, smoke = load_recipe(name), load_recipe(name, smoke=True)
    assert recipe.name == name
    assert recipe.precision == "float32"
    assert smoke.architecture == recipe.architecture
    assert smoke.weights is None
    assert max(stage.tile_px for stage in smoke.stages) <= 96
    doc = sys.modules[f"her2edge_training.recipes.{name}"].__doc__ or ""
    assert f"her2edge train {name}" in doc
    assert "Cost" in doc
    assert "Expected" in doc


def test_an_unknown_name_lists_the_recipes() -> None:
    with pytest.raises(OptionError, match="demo_se_resnet50, paper_efficientnetb0, paper_inceptionv3"):
        load_recipe("resnet51")


def test_a_custom_file_is_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from her2edge_training.recipe import Recipe, Stage\n"
        "RECIPE = Recipe('mine', 'resnet50', (Stage(64, 1, 1e-3, 4),), tile_px=64)\n"
    )
    assert load_recipe(file).architecture == "resnet50"
    with pytest.raises(OptionError, match="has no smoke"):
        load_recipe(file, smoke=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "has no RECIPE"),
        ("RECIPE = 3\n", "is a int"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("(", "SyntaxError"),
    ],
)
def test_a_custom_file_without_recipe_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(OptionError, match=says):
        load_recipe(tmp_path / "bad.py")


def test_a_custom_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no recipe file"):
        load_recipe(tmp_path / "none.py")


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "vgg16"},
        {"stages": ()},
        {"stages": (Stage(1024, 1, 1e-3, 4),)},
        {"stages": (Stage(16, 1, 1e-3, 4),)},
        {"architecture": "inceptionv3", "stages": (Stage(64, 1, 1e-3, 4),)},
        {"labels": ("2+", "2+")},
        {"labels": ("2+",)},
        {"seed": -1},
        {"dropout": 1.0},
        {"max_background_share": 1.5},
        {"batch_norm_momentum": 1.0},
        {"augmentations": ("mirror",)},
        {"stain_jitter": 1.0},
        {"stain_jitter": 0.1, "stain": Stain("off")},
        {"max_unreadable_share": -0.1},
        {"mpp": 0.0},
        {"precision": "float16"},
    ],
)
def test_a_recipe_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="found"):
        replace(DEMO, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"learning_rate": float("nan")},
        {"batch": 0},
        {"crops_per_tile": 3},
        {"tiles_per_epoch": 0},
        {"minutes": -1.0},
    ],
)
def test_a_stage_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="found"):
        replace(Stage(64, 1, 1e-3, 4), **change)


def test_stain_and_plateau_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="per_tile"):
        Stain("per_slide")
    with pytest.raises(OptionError, match="factor"):
        Plateau(factor=1.0)


def test_a_recipe_survives_its_json(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(dump_recipe(DEMO))
    assert read_recipe(path) == DEMO
    path.write_bytes(b'{"name": 1}')
    with pytest.raises(OptionError, match="not a recipe"):
        read_recipe(path)
    with pytest.raises(MissingInputError, match=r"no recipe\.json"):
        read_recipe(tmp_path / "none.json")


def test_recipes_tile_lists_and_splits_need_no_keras() -> None:
    code = (
        "import sys, her2edge_training.cohort.tile_list, her2edge_training.cohort.split;"
        "import her2edge_training.recipe as r;"
        "r.load_recipe('paper_se_resnet50');"
        "sys.exit(', '.join({'keras', 'tensorflow', 'jax', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_recipe_is_frozen() -> None:
    assert hash(DEMO) == hash(replace(DEMO))
    assert isinstance(DEMO, Recipe)
