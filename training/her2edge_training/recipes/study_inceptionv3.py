"""InceptionV3 in the study of study_se_resnet50: see there for its commands and figures.

    her2edge train study_inceptionv3 --data data/study/cohort.csv --out runs/inceptionv3

Cost: some five minutes on two CPU cores. Expected: the table of
docs/explanation/study.md; it says nothing about patients.
"""

from her2edge_training.recipes import paper_inceptionv3
from her2edge_training.recipes.study_se_resnet50 import scaled

RECIPE = scaled(paper_inceptionv3.RECIPE, "study_inceptionv3")
