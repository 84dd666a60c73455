"""InceptionV3 in the study of study_se_resnet50: see there for commands, cost and what to expect."""

from dataclasses import replace

from her2edge_training.recipe import Recipe
from her2edge_training.recipes import paper_inceptionv3
from her2edge_training.recipes.study_se_resnet50 import scaled

RECIPE = scaled(paper_inceptionv3.RECIPE, "study_inceptionv3")


def smoke() -> Recipe:
    """One epoch."""
    return replace(
        RECIPE, name="study_inceptionv3_smoke", stages=(replace(RECIPE.stages[0], epochs=1, batch=4),)
    )
