"""The paper's network and Table I (Joshi et al. 2025, doi 10.48084/etasr.12140), field by field.

    her2edge train paper_se_resnet50 --data tiles/cohort.csv --out runs/paper

Cost: 25 epochs of about 6,200 tiles of 512 px. On two CPU cores about 1.4 s per tile and epoch, two and
a half days in all; use a GPU (KERAS_BACKEND=jax, --devices N for several). The paper names no precision, so
this is float32; on a GPU or TPU set `precision="mixed_bfloat16"` in a copy of this file.

Expected: the paper prints 98.04 % of held-out TILES on its own slides. The split is by tile, as in the paper:
tiles of one slide stand in training and test, which inflates the figure. It is not comparable with a
slide-grouped one; set `split=Split("slide-grouped")` in a copy of this file for that. Not reproduced here:
the slides are not public.

Not given in the paper, ours: SE ratio 16, 512 separable filters, 256 dense units, plateau patience 3, seed,
and that the split by tile is stratified: each class in the same shares. docs/recipes.md has every field.
"""

from her2edge_training.recipe import Plateau, Recipe, Split, Stage

RECIPE = Recipe(
    name="paper_se_resnet50",
    architecture="se_resnet50",
    stages=(Stage(tile_px=512, epochs=25, learning_rate=1e-4, batch=16),),
    weights="imagenet",
    dropout=0.5,
    split=Split("tile-random", (0.6, 0.2, 0.2)),
    plateau=Plateau(factor=0.5, patience=3, minimum=1e-7),
)
