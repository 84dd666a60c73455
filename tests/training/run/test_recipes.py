"""Recipes: Table I to the digit, bad values refused, custom files read, no Keras needed to list them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from her2edge.errors import MissingInputError, OptionError
from her2edge.files import parse_json
from her2edge.model.classes import LowDefinition
from her2edge.regions.classes import key
from her2edge_training.classes import CLASSES
from her2edge_training.recipe import (
    Plateau,
    Recipe,
    Split,
    Stage,
    Stain,
    dump_recipe,
    read_recipe,
)
from her2edge_training.recipes import load_recipe, recipe_names

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
    assert [stage.tile_px for stage in DEMO.stages] == [128, 160, 256]
    assert DEMO.tile_px == 512
    assert (DEMO.weights, DEMO.split.protocol, DEMO.augmentations) == (
        None,
        "slide-grouped",
        ("flip", "rotate90"),
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_docstring_with_its_command(name: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.name, recipe.precision) == (name, "float32")
    assert (recipe.class_weights, [stage.frozen_backbone for stage in recipe.stages]) == (
        None,
        [False] * len(recipe.stages),
    )
    doc = sys.modules[f"her2edge_training.recipes.{name}"].__doc__ or ""
    assert f"her2edge train {name}" in doc
    assert (f"her2edge distil TEACHER --recipe {name}" in doc) is name.startswith("student_")
    assert "Cost" in doc
    assert "Expected" in doc


def test_an_unknown_name_lists_the_recipes() -> None:
    with pytest.raises(OptionError, match="demo_se_resnet50, paper_efficientnetb0, paper_inceptionv3"):
        load_recipe("vgg")
    with pytest.raises(
        OptionError, match=r"found recipe 'paper_resnet51' \(did you mean 'paper_resnet50'\?\)"
    ):
        load_recipe("paper_resnet51")


def test_a_custom_file_is_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from her2edge_training.recipe import Recipe, Stage\n"
        "RECIPE = Recipe('mine', 'resnet50', (Stage(64, 1, 1e-3, 4),), tile_px=64)\n"
    )
    assert load_recipe(file).architecture == "resnet50"
    assert load_recipe(file, smoke=True).name == "mine_smoke"


@pytest.mark.parametrize(
    "line",
    [
        "RECIPE = Recipe('mine', 'resnet50', (Stage(64, 1, 1e-3, 4),), tile_px=64, lables=('a', 'b'))",
        "RECIPE = replace(load_recipe('paper_resnet50'), lables=('a', 'b'))",
        "RECIPE = Recipe('mine', load_recipe('paper_resnet50').lables, ())",
    ],
)
def test_a_misspelt_field_is_answered_with_the_nearest_name(tmp_path: Path, line: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from msgspec.structs import replace\nfrom her2edge_training.recipes import load_recipe\n"
        f"from her2edge_training.recipe import Recipe, Stage\n{line}\n"
    )
    with pytest.raises(OptionError, match=r"lables.*did you mean 'labels'\?"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", r"^bad\.py: found no RECIPE, expected one: `her2edge recipe paper_se_resnet50` prints"),
        ("RECIPE = 3\n", r"found RECIPE = 3, expected a Recipe\(\.\.\.\)"),
        ("\n1 / 0\n", r"^bad\.py line 2: it cannot be run \(ZeroDivisionError"),
        ("(", r"^bad\.py line 1: it cannot be run \(SyntaxError"),
    ],
)
def test_a_custom_file_without_recipe_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(OptionError, match=says):
        load_recipe(tmp_path / "bad.py")


@pytest.mark.parametrize("record", [DEMO, DEMO.stages[0], DEMO.split, DEMO.stain, DEMO.plateau])
def test_a_field_that_is_of_another_type_is_answered_in_plain_words(record: Any) -> None:
    """No word of msgspec's: backticks lead its types."""

    class Other:
        """What fits no field."""

    for field in msgspec.structs.fields(record):
        with pytest.raises(OptionError) as refused:
            replace(record, **{field.name: Other()})
        said = str(refused.value)
        assert "`" not in said, said
        assert not said.endswith("expected "), said


def test_a_field_that_is_left_out_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from her2edge_training.recipe import Stage\n\nStage(tile_px=64)\n")
    with pytest.raises(
        OptionError, match=r"^mine\.py line 3: found no epochs, expected one: add `epochs=\.\.\.`"
    ):
        load_recipe(tmp_path / "mine.py")
    (tmp_path / "mine.py").write_text("from her2edge_training.recipe import Plateau\nPlateau(patience='3')\n")
    with pytest.raises(
        OptionError, match=r"^mine\.py line 2: found patience='3', expected a whole number above 0"
    ):
        load_recipe(tmp_path / "mine.py")


def test_a_custom_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"none\.py: found no such file, expected a recipe"):
        load_recipe(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "vgg16"}, "found architecture='vgg16', expected one of se_resnet50, resnet50, "),
        ({"stages": ()}, r"found stages=\(\), expected one Stage or more"),
        ({"stages": ({"tile_px": 64, "epochs": 1, "learning_rate": 1e-3, "batch": 4},)}, "found stages="),
        ({"stages": (Stage(1024, 1, 1e-3, 4),)}, r"found crops of 512..1024 px, expected 32 .* to 512"),
        ({"stages": (Stage(16, 1, 1e-3, 4),)}, r"found crops of 16..16 px, expected 32 "),
        (
            {"architecture": "inceptionv3", "stages": (Stage(64, 1, 1e-3, 4),)},
            r"expected 75 \(the least of inceptionv3\)",
        ),
        ({"labels": ("2+", "2+")}, "found two labels of one label"),
        ({"labels": ("2+",)}, "expected two to four different ones"),
        ({"labels": ("a", "b", "c", "d", "e")}, "expected two to four different ones"),
        (
            {"labels": ("0/1+", "x" * 17)},
            r"found label=\"x{17}\" \(in entry 2\), expected text of at most 16 characters",
        ),
        ({"labels": ("0/1+", "ambiguous")}, "a word that results use"),
        ({"labels": ("0/1+", "HER2-low", "3+")}, "called low or tells 0 from 1"),
        ({"labels": ("0", "1+", "2+", "3+")}, "called low or tells 0 from 1"),
        ({"her2_low": LowDefinition(definition=" ", shown_on="")}, "expected a definition and what it was"),
        ({"name": None}, "found name=None, expected text in quotes"),
        ({"weights": 3}, "found weights=3, expected text in quotes or None"),
        ({"split": "slide-grouped"}, r"found split='slide-grouped', expected a Split\(\.\.\.\)"),
        (
            {"stages": [Stage(64, 1, 1e-3, 4)]},
            "found stages=a list of Stage, in square brackets, expected one Stage or more, in round brackets",
        ),
        ({"class_weights": "equal"}, "found class_weights='equal', expected one of balanced"),
        ({"seed": -1}, "found seed=-1, expected a whole number of 0 or above"),
        ({"seed": 1.5}, "found seed=1.5, expected a whole number of 0 or above"),
        ({"dropout": 1.0}, r"found dropout=1.0, expected 0\.0\.\.0\.999"),
        ({"max_background_share": 1.5}, r"found max_background_share=1.5, expected 0\.0\.\.1\.0"),
        ({"batch_norm_momentum": 1.0}, "found batch_norm_momentum=1.0, expected a share between 0 and 1"),
        (
            {"augmentations": ("mirror",)},
            r"found augmentations=.*, expected any of flip, rotate90, in round brackets: \('flip',\)",
        ),
        ({"stain_jitter": 1.0}, r"found stain_jitter=1.0, expected 0\.0\.\.0\.9"),
        ({"stain_jitter": 0.1, "stain": Stain("off")}, "found stain_jitter=0.1 with the stain mode 'off'"),
        ({"max_unreadable_share": -0.1}, r"found max_unreadable_share=-0.1, expected 0\.0\.\.1\.0"),
        ({"mpp": 0.0}, "found mpp=0.0, expected a number above 0"),
        ({"cosine_warmup": 0}, "found cosine_warmup=0, expected a whole number above 0"),
        ({"norm_tiles": 0}, "found norm_tiles=0, expected a whole number above 0"),
        ({"precision": "float16"}, "found precision='float16', expected one of float32, mixed_bfloat16"),
        ({"weights": 3}, "found weights=3, expected"),
    ],
)
def test_a_recipe_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        replace(DEMO, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "found epochs=0, expected a whole number above 0"),
        ({"learning_rate": float("nan")}, "found learning_rate=nan, expected a number above 0"),
        ({"batch": 0}, "found batch=0, expected a whole number above 0"),
        (
            {"crops_per_tile": 3},
            "found batch=4 and crops_per_tile=3: expected the second to divide",
        ),
        ({"tiles_per_epoch": 0}, "found tiles_per_epoch=0, expected a whole number above 0"),
        ({"minutes": -1.0}, "found minutes=-1.0, expected a number above 0"),
    ],
)
def test_a_stage_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        replace(Stage(64, 1, 1e-3, 4), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "by-colour"}, "found protocol='by-colour', expected one of slide-grouped, tile-random"),
        ({"fractions": (0.5, 0.5)}, "expected three shares above 0 that sum to 1"),
        ({"fractions": (0.8, 0.2, 0.0)}, "expected three shares above 0 that sum to 1"),
        ({"fractions": (0.5, 0.2, 0.2)}, "expected three shares above 0 that sum to 1"),
    ],
)
def test_a_split_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Split(**change)


def test_stain_and_plateau_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="found stain='per_slide', expected per_tile, off"):
        Stain("per_slide")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"found factor=1.0, expected a share between 0 and 1"):
        Plateau(factor=1.0)


def test_a_recipe_survives_its_json(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(dump_recipe(DEMO))
    assert read_recipe(path) == DEMO
    path.write_bytes(dump_recipe(DEMO).replace(b'"epochs": 60', b'"epochs": 0'))
    with pytest.raises(
        OptionError,
        match=r"found epochs=0 \(in stages, entry 1\), expected a whole number of at least 1\), expected the",
    ):
        read_recipe(path)
    path.write_bytes(b'{"name": 1}')
    with pytest.raises(OptionError, match="expected the recipe of a training run"):
        read_recipe(path)
    with pytest.raises(MissingInputError, match=r"none\.json: found no such file, expected the recipe of a"):
        read_recipe(tmp_path / "none.json")


def test_the_recipe_of_an_earlier_run_is_read_and_written_alike() -> None:
    path = Path(__file__).resolve().parents[2] / "data" / "first" / "run" / "recipe.json"
    recipe = read_recipe(path)
    assert (recipe.name, recipe.mpp, recipe.stages[1].tile_px) == ("tiny", 0.25, 64)
    assert dump_recipe(recipe) == path.read_bytes()


def test_recipes_tile_lists_and_splits_need_no_keras() -> None:
    code = (
        "import sys, her2edge_training.cohort.tile_list, her2edge_training.cohort.split;"
        "import her2edge_training.recipes as r;"
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


def test_classes_named_like_a_recipes_labels_are_those_labels() -> None:
    two = classes_of_labels("negative", "positive")
    assert two["her2 positive"] == two["positive"] == "positive"
    assert set(two.values()) == {"negative", "positive"}
    assert classes_of_labels("0/1+", "3+")["positive"] == "3+"
    assert classes_of_labels("0/1+", "2+", "3+", "positive")["positive"] == "positive"
    assert classes_of_labels("0/1+", "2+", "3+") == {key(name): label for name, label in CLASSES}
    assert load_recipe("paper_resnet50").classes == CLASSES


def classes_of_labels(*labels: str) -> dict[str, str]:
    return {key(name): label for name, label in replace(DEMO, labels=labels).classes}


def test_0_is_told_from_1_only_by_a_recipe_that_says_how() -> None:
    low = LowDefinition(definition="IHC 1+", shown_on="nothing yet")
    recipe = replace(DEMO, labels=("0", "1+", "2+", "3+"), her2_low=low)
    again = parse_json(dump_recipe(recipe), Recipe)
    assert (again, again.her2_low) == (recipe, low)
