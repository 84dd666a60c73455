"""The paper's network on synthetic tissue from random weights, on two CPU cores: the embedded demo model.

    her2edge synthesize --out data/demo-tiles
    her2edge train demo_se_resnet50 --data data/demo-tiles/manifest.csv --out runs/demo

Progressive crops make it affordable: the network is convolutional up to a global pooling, so weights learnt
on 128 px crops carry over to 512 px tiles (train and test resolution: Touvron et al. 2019, arXiv 1906.06423).

Cost on two AMD cores without AVX512: about 0.11 s per 128 px crop, 0.35 s per 256 px, 1.4 s per 512 px tile;
the stages' minutes bound it to about an hour. Expected: see the model card of the demo model. It says
nothing about patients: the tissue is drawn by a program.
"""

from dataclasses import replace

from her2edge_training.recipe import Plateau, Recipe, Split, Stage

RECIPE = Recipe(
    name="demo_se_resnet50",
    architecture="se_resnet50",
    stages=(
        Stage(tile_px=128, epochs=40, learning_rate=1e-3, batch=32, crops_per_tile=2, minutes=30),
        Stage(tile_px=256, epochs=10, learning_rate=3e-4, batch=16, tiles_per_epoch=400, minutes=10),
        Stage(tile_px=512, epochs=4, learning_rate=1e-4, batch=8, tiles_per_epoch=120, minutes=6),
    ),
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
