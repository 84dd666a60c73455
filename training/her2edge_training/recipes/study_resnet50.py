"""ResNet50 in the study of study_se_resnet50: see there for its commands and figures.

    her2edge train study_resnet50 --data data/study/cohort.csv --out runs/resnet50

Cost: some five minutes on two CPU cores. Expected: the table of
docs/explanation/study.md; it says nothing about patients.
"""

from her2edge_training.recipes import paper_resnet50
from her2edge_training.recipes.study_se_resnet50 import scaled

RECIPE = scaled(paper_resnet50.RECIPE, "study_resnet50")
