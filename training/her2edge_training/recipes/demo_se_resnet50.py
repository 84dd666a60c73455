"""The paper's network on synthetic tissue, from the former demo model's weights: the embedded demo model.

    git show 205d536:her2edge/data/demo-int8.tflite > former.tflite
    her2edge synthesize --out data/demo --slides 600 --tiles 3 --seed 3
    her2edge train demo_se_resnet50 --from former.tflite --data data/demo/cohort.csv --out runs/demo

The former model learnt on a simpler tissue, from random weights. From those, training accuracy on this was
still that of a guess after 5,760 crops of 96 px; from the former's weights it was 55 % after 3,840 of 128 px.

Many slides with few tiles of each, because a slide's tiles look alike. Small crops make it affordable: the
network is convolutional up to a global pooling, so weights learnt on crops carry over to 512 px tiles (train
and test resolution: Touvron et al. 2019, arXiv 1906.06423).

Cost on two AMD cores without AVX512: 70 minutes, which the stages' minutes bound; a faster machine trains
for more epochs. Expected: the model card of the demo model states what it reached. It says nothing about
patients: the tissue is drawn by a program.
"""

from her2edge_training.recipe import Plateau, Recipe, Split, Stage

RECIPE = Recipe(
    name="demo_se_resnet50",
    architecture="se_resnet50",
    stages=(
        Stage(
            128, epochs=60, learning_rate=3e-4, batch=16, crops_per_tile=2, tiles_per_epoch=480, minutes=40
        ),
        Stage(
            160, epochs=60, learning_rate=2e-4, batch=16, crops_per_tile=2, tiles_per_epoch=480, minutes=21
        ),
        Stage(256, epochs=30, learning_rate=4e-5, batch=16, tiles_per_epoch=240, minutes=9),
    ),
    weights=None,
    dropout=0.2,
    split=Split("slide-grouped", (0.7, 0.1, 0.2)),
    augmentations=("flip", "rotate90"),
    plateau=Plateau(factor=0.5, patience=12, minimum=1e-6),
    batch_norm_momentum=0.9,  # a few hundred steps in all: 0.99 would leave validation behind
)
