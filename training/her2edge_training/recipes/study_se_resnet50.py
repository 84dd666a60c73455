"""The paper's protocol at a scale that two CPU cores can do, from random weights, on synthetic tissue.

    her2edge synthesize --paper 0.06 --tile-px 80 --tile-mpp 0.8 --seed 5 --out data/study
    her2edge study study_se_resnet50 study_resnet50 study_efficientnetb0 study_inceptionv3 \\
        --protocol tile-random --data data/study/cohort.csv --out runs/tiles
    her2edge study study_se_resnet50 study_resnet50 --protocol slide-grouped --protocol site-held-out \\
        --folds 3 --data data/study/cohort.csv --out runs/slides
    her2edge evaluate runs/tiles runs/slides --out evaluation

    her2edge train study_se_resnet50 --data data/study/cohort.csv --out runs/one    (one training alone)

Table I's are batch 16, Adam, plateau, dropout, cross-entropy and the split 60 / 20 / 20. Not so: 623 tiles
of 38 slides, fields of 64 um at 0.8 um per pixel, 8 epochs at a higher learning rate (there are no ImageNet
weights to keep), a quicker batch norm; and stains as they are, so that slides differ enough for a network to
find that out from ten tiles of each.

Cost: two to five minutes on one core for each of the 14 trainings. Expected: the table of
docs/explanation/study.md. It shows how much a split by tile flatters, and says nothing about patients.
"""

from msgspec.structs import replace

from her2edge.stain import StainMode
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.recipes import paper_se_resnet50


def scaled(recipe: Recipe, name: str) -> Recipe:
    """A recipe of the paper at the study's scale."""
    return replace(
        recipe,
        name=name,
        stages=(Stage(tile_px=80, epochs=8, learning_rate=5e-4, batch=16),),
        weights=None,
        stain=Stain(StainMode.OFF),
        tile_px=80,
        mpp=0.8,
        batch_norm_momentum=0.9,
    )


RECIPE = scaled(paper_se_resnet50.RECIPE, "study_se_resnet50")
