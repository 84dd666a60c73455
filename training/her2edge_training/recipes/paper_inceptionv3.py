"""InceptionV3 with the paper's head (Joshi et al. 2025, Tables I and II).

    her2edge train paper_inceptionv3 --data tiles/cohort.csv --out runs/paper-inceptionv3

Cost: as paper_se_resnet50, whose network is the largest of the four. Expected: the paper prints 64.93 % of
held-out TILES on its own slides, by the same split by tile, which inflates it. Not reproduced here: the
slides are not public.
"""

from dataclasses import replace

from her2edge_training.recipe import Recipe, Stage
from her2edge_training.recipes import paper_se_resnet50

RECIPE = replace(paper_se_resnet50.RECIPE, name="paper_inceptionv3", architecture="inceptionv3")


def smoke() -> Recipe:
    """The smallest size of paper_se_resnet50 that this network takes."""
    stages = (Stage(tile_px=96, epochs=1, learning_rate=1e-4, batch=4),)
    return replace(RECIPE, name="paper_inceptionv3_smoke", stages=stages, weights=None, tile_px=96)
