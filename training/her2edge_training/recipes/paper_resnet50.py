"""ResNet50 with the paper's head: its strongest baseline (Joshi et al. 2025, Tables I and II).

    her2edge train paper_resnet50 --data tiles/cohort.csv --out runs/paper-resnet50

Cost: as paper_se_resnet50, whose network is the largest of the four. Expected: the paper prints 94.03 % of
held-out TILES on its own slides, by the same split by tile, which inflates it. Not reproduced here: the
slides are not public.
"""

from msgspec.structs import replace

from her2edge_training.recipes import paper_se_resnet50

RECIPE = replace(paper_se_resnet50.RECIPE, name="paper_resnet50", architecture="resnet50")
