"""The demo model's second training: many more slides, few tiles of each, larger crops, smaller steps.

    her2edge synthesize --out data/demo-2 --slides 600 --tiles 3 --seed 2
    her2edge train demo_se_resnet50_tune --from runs/demo-1 --data data/demo-2/manifest.csv --out runs/demo-2

What limits the first training is the number of slides, not of tiles: on 54 slides the network learns the
slides. Cost on two AMD cores without AVX512: about 35 minutes with the scores. Expected: see the model card
of the demo model. It says nothing about patients: the tissue is drawn by a program.
"""

from dataclasses import replace

from her2edge_training.recipe import Recipe, Split, Stage
from her2edge_training.recipes import demo_se_resnet50

RECIPE = replace(
    demo_se_resnet50.RECIPE,
    name="demo_se_resnet50_tune",
    stages=(
        Stage(tile_px=128, epochs=10, learning_rate=5e-4, batch=32, tiles_per_epoch=1248, minutes=10),
        Stage(tile_px=256, epochs=10, learning_rate=2e-4, batch=16, tiles_per_epoch=400, minutes=9),
    ),
    split=Split("slide-grouped", (0.7, 0.1, 0.2)),
    batch_norm_momentum=0.95,
)


def smoke() -> Recipe:
    """The first training's smallest size."""
    return replace(demo_se_resnet50.smoke(), name="demo_tune_smoke")
