"""ResNet50 in the study of study_se_resnet50: see there for commands, cost and what to expect."""

from dataclasses import replace

from her2edge_training.recipe import Recipe
from her2edge_training.recipes import paper_resnet50
from her2edge_training.recipes.study_se_resnet50 import scaled

RECIPE = scaled(paper_resnet50.RECIPE, "study_resnet50")


def smoke() -> Recipe:
    """One epoch."""
    return replace(
        RECIPE, name="study_resnet50_smoke", stages=(replace(RECIPE.stages[0], epochs=1, batch=4),)
    )
