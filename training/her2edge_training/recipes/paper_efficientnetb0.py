"""EfficientNetB0 with the paper's head (Joshi et al. 2025, Tables I and II).

    her2edge train paper_efficientnetb0 --data tiles/cohort.csv --out runs/paper-efficientnetb0

Cost: as paper_se_resnet50, whose network is the largest of the four. Expected: the paper prints 89.34 % of
held-out TILES on its own slides, by the same split by tile, which inflates it. Not reproduced here: the
slides are not public.
"""

from msgspec.structs import replace

from her2edge_training.recipes import paper_se_resnet50

RECIPE = replace(paper_se_resnet50.RECIPE, name="paper_efficientnetb0", architecture="efficientnetb0")
