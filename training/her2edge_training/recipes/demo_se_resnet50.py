"""The paper's network on synthetic tissue from random weights: the first of the demo model's two trainings.

    her2edge synthesize --out data/demo-1
    her2edge train demo_se_resnet50 --data data/demo-1/manifest.csv --out runs/demo-1

Small crops make it affordable: the network is convolutional up to a global pooling, so weights learnt on
128 px crops carry over to 512 px tiles (train and test resolution: Touvron et al. 2019, arXiv 1906.06423).

Cost on two AMD cores without AVX512: 0.12 s per crop, 35 minutes in all. Expected: about 0.78 of the crops of
18 validation slides. demo_se_resnet50_tune goes on from there. It says nothing about patients: the tissue is
drawn by a program.
"""

from dataclasses import replace

from her2edge_training.recipe import Plateau, Recipe, Split, Stage

RECIPE = Recipe(
    name="demo_se_resnet50",
    architecture="se_resnet50",
    stages=(Stage(tile_px=128, epochs=40, learning_rate=1e-3, batch=32, crops_per_tile=2, minutes=30),),
    weights=None,
    split=Split("slide-grouped", (0.6, 0.2, 0.2)),
    augmentations=("flip", "rotate90"),
    plateau=Plateau(factor=0.5, patience=3, minimum=1e-6),
    batch_norm_momentum=0.9,  # a few hundred steps in all: 0.99 would leave validation behind
)


def smoke() -> Recipe:
    """Two stages of one epoch at 32 and 64 px: the same way through, seconds instead of hours."""
    stages = (
        Stage(tile_px=32, epochs=1, learning_rate=1e-3, batch=8, crops_per_tile=2),
        Stage(tile_px=64, epochs=1, learning_rate=1e-4, batch=4, tiles_per_epoch=8),
    )
    return replace(RECIPE, name="demo_smoke", stages=stages, tile_px=64)
