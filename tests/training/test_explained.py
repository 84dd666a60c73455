"""Every field is explained, a printed recipe is the recipe, and options change what they say they change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from her2edge.errors import OptionError
from her2edge.model.classes import LowDefinition
from her2edge_training.changed import Changes, changed, smallest
from her2edge_training.explained import source_of
from her2edge_training.explained.fields import FIELDS
from her2edge_training.recipe import MINIMUM_TILE_PX, Recipe, Stage
from her2edge_training.recipes import load_recipe, recipe_names

PAPER = load_recipe("paper_se_resnet50")
DEMO = load_recipe("demo_se_resnet50")
LOW = LowDefinition(definition="IHC 1+", shown_on='40 slides, "A"')
EVERYTHING = replace(
    PAPER,
    labels=("0", "1+", "2+", "3+"),
    her2_low=LOW,
    classes=(("weak", "1+"), ("strong", "3+")),
    class_weights="balanced",
    stages=(Stage(64, 1, 1e-3, 4, frozen_backbone=True), *PAPER.stages),
)


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_is_explained_in_its_order_and_nothing_else_is(kind: type) -> None:
    names = [field.name for field in msgspec.structs.fields(kind)]
    assert list(FIELDS[kind]) == names
    assert all(said.text.endswith((".", "...")) for said in FIELDS[kind].values())


@pytest.mark.parametrize("recipe", [*map(load_recipe, recipe_names()), EVERYTHING], ids=lambda r: r.name)
def test_a_printed_recipe_is_the_recipe_with_a_comment_above_each_field(
    recipe: Recipe, tmp_path: Path
) -> None:
    text = source_of(recipe)
    (tmp_path / "my.py").write_text(text)
    assert load_recipe(tmp_path / "my.py") == recipe
    lines = [line.strip() for line in text.splitlines()]
    for name in FIELDS[Recipe]:
        place = next(n for n, line in enumerate(lines) if line.startswith(f"{name}="))
        assert lines[place - 1].startswith("# "), name
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", recipe_names())
def test_the_smallest_size_of_a_recipe_has_its_stages_and_is_small(name: str) -> None:
    recipe, small = load_recipe(name), load_recipe(name, smoke=True)
    assert len(small.stages) == len(recipe.stages)
    assert [stage.epochs for stage in small.stages] == [1] * len(recipe.stages)
    assert MINIMUM_TILE_PX[recipe.architecture] <= small.stages[-1].tile_px == small.tile_px <= 96
    assert small.tile_px <= recipe.tile_px, "tiles of the recipe's size are at hand, no larger ones"
    assert max(stage.batch for stage in small.stages) <= 8
    same = ("architecture", "labels", "split", "stain", "class_weights", "seed")
    assert [getattr(small, field) for field in same] == [getattr(recipe, field) for field in same]


def test_the_smallest_size_keeps_growing_crops_and_what_else_stages_are() -> None:
    assert [stage.tile_px for stage in smallest(DEMO).stages] == [32, 32, 64]
    assert [stage.frozen_backbone for stage in smallest(EVERYTHING).stages] == [True, False]


def test_options_stand_in_the_place_of_the_recipes_values_and_in_its_name() -> None:
    made = changed(
        PAPER, Changes(weights="none", epochs=3, batch=8, learning_rate=5e-4, seed=7, tile_px=256, mpp=0.5)
    )
    stage = Stage(tile_px=256, epochs=3, learning_rate=5e-4, batch=8)
    name = "paper_se_resnet50+weights=none+epochs=3+batch=8+learning_rate=0.0005+seed=7+tile_px=256+mpp=0.5"
    assert made == replace(PAPER, name=name, weights=None, stages=(stage,), seed=7, tile_px=256, mpp=0.5)
    assert changed(PAPER, Changes()) is PAPER


def test_stages_keep_their_proportions_and_their_smaller_crops() -> None:
    made = changed(DEMO, Changes(learning_rate=1e-2, tile_px=256))
    assert [stage.learning_rate for stage in made.stages] == pytest.approx([1e-2, 2e-2 / 3, 2e-2 / 15])
    assert [stage.tile_px for stage in made.stages] == [128, 160, 256]
    assert made.tile_px == 256


def test_another_weight_file_has_another_hash_and_its_folder_is_in_no_name() -> None:
    made = changed(replace(PAPER, weights_sha256="0" * 64), Changes(weights="/home/me/w.h5"))
    assert (made.weights, made.weights_sha256) == ("/home/me/w.h5", None)
    assert made.name == "paper_se_resnet50+weights=w.h5"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (Changes(epochs=0), "found epochs=0, expected a whole number above 0"),
        (Changes(batch=5), "found batch=5 and crops_per_tile=2"),
        (Changes(learning_rate=float("nan")), "found learning_rate=nan"),
        (Changes(seed=-1), "found seed=-1"),
        (Changes(tile_px=64), r"found crops of 64\.\.256 px, expected 32 .* to 64"),
        (Changes(mpp=0.0), "found mpp=0.0, expected a number above 0"),
    ],
)
def test_an_option_that_the_recipe_cannot_have_is_refused(changes: Changes, says: str) -> None:
    with pytest.raises(OptionError, match=f"demo_se_resnet50 with other values: {says}"):
        changed(DEMO, changes)
