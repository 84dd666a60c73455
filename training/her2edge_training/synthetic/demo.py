"""The slides of `her2edge demo`: one class with a focus of another, a pen mark and a corner out of focus."""

from __future__ import annotations

from her2edge_training.synthetic.model import make_slide_model
from her2edge_training.synthetic.morphology import LABELS
from her2edge_training.synthetic.sites import SITES
from her2edge_training.synthetic.slide import SyntheticSlide, make_slide_image

WIDTH, HEIGHT, MPP = 5120, 3840, 0.25
FOCUS_SHARE = 0.12  # of the canvas, a fourth of its tissue
PEN = 0.46  # of a stroke across it: it ends about the middle
PIECES = 2  # of tissue: more would leave more of it at edges than in the middle
CORNER_UM = 1.5  # standard deviation of the defocus
_FIRST_SEED = 10_000_000  # far from the seeds of cohorts: slides that no model has seen


def focus_of(label: str) -> str:
    """The class of the focus in a slide of `label`: the one farthest from it."""
    return LABELS[2] if label == LABELS[0] else LABELS[0]


def make_demo_slide(label: str, seed: int, *, faults: bool = True) -> SyntheticSlide:
    """The slide of one class and seed (0 and up), 5120 x 3840 px of 0.25 um; its site goes by the seed.

    faults: with the pen mark and the soft corner; the tissue is the same without.
    """
    model = make_slide_model(label, SITES[seed % len(SITES)], _FIRST_SEED + seed)
    pen, corner = (PEN, CORNER_UM) if faults else (0.0, 0.0)
    focus = focus_of(label)
    return make_slide_image(
        model, WIDTH, HEIGHT, MPP, pen=pen, focus=focus, focus_share=FOCUS_SHARE, corner=corner, pieces=PIECES
    )
