"""The paper's network on synthetic tissue, from random weights: the embedded demo model.

    her2edge synthesize --out data/demo --slides 600 --tiles 3 --seed 3
    her2edge train demo_se_resnet50 --data data/demo/cohort.csv --out runs/demo

Many slides with few tiles of each, because a slide's tiles look alike. Small crops make it affordable: the
network is convolutional up to a global pooling, so weights learnt on crops carry over to 512 px tiles (train
and test resolution: Touvron et al. 2019, arXiv 1906.06423). Steps of 1e-3 are too large for the moving
statistics of batch normalisation to follow, so the first stage's validation score jumps; the second stage
settles it.

Cost on two AMD cores without AVX512: about an hour, which the stages' minutes bound; a faster machine trains
for more epochs. Expected: the model card of the demo model states what it reached. It says nothing about
patients: the tissue is drawn by a program.
"""

from her2edge_training.recipe import Plateau, Recipe, Split, Stage

RECIPE = Recipe(
    name="demo_se_resnet50",
    architecture="se_resnet50",
    stages=(
        Stage(
            tile_px=128,
            epochs=60,
            learning_rate=1e-3,
            batch=32,
            crops_per_tile=2,
            tiles_per_epoch=480,
            minutes=28,
        ),
        Stage(tile_px=256, epochs=30, learning_rate=1e-4, batch=16, tiles_per_epoch=320, minutes=24),
    ),
    weights=None,
    split=Split("slide-grouped", (0.7, 0.1, 0.2)),
    augmentations=("flip", "rotate90"),
    plateau=Plateau(factor=0.5, patience=4, minimum=1e-6),
    batch_norm_momentum=0.9,  # a few hundred steps in all: 0.99 would leave validation behind
)
