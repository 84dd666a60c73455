"""Procedural H&E-like tissue with known truth: tiles, slides and cohorts for tests, demo and benchmarks.

Classes differ in what lies around what, not in colour, size or number. Needs NumPy and OpenCV only.
Synthetic tissue says nothing about patients: an accuracy on it shows that a pipeline works, no more.
"""

from her2edge_training.synthetic.between import make_between_model
from her2edge_training.synthetic.cohort import Cohort, even_cohort, make_cohort, paper_cohort
from her2edge_training.synthetic.dataset import write_dataset
from her2edge_training.synthetic.demo import focus_of, make_demo_slide
from her2edge_training.synthetic.model import SlideModel, make_slide_model
from her2edge_training.synthetic.morphology import LABELS, Morphology
from her2edge_training.synthetic.sites import IO, SITES, Site
from her2edge_training.synthetic.slide import SyntheticSlide, make_slide_image
from her2edge_training.synthetic.tile import SyntheticTile, make_tile

__all__ = [
    "IO",
    "LABELS",
    "SITES",
    "Cohort",
    "Morphology",
    "Site",
    "SlideModel",
    "SyntheticSlide",
    "SyntheticTile",
    "even_cohort",
    "focus_of",
    "make_between_model",
    "make_cohort",
    "make_demo_slide",
    "make_slide_image",
    "make_slide_model",
    "make_tile",
    "paper_cohort",
    "write_dataset",
]
