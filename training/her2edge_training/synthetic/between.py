"""Slides between two neighbouring classes: tissue that has no label, and of which a network is not sure."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

from her2edge.errors import OptionError
from her2edge_training.synthetic.model import SlideModel, make_slide_model
from her2edge_training.synthetic.morphology import LABELS, Morphology, draw_morphology
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.sites import Site

UNLABELLED = ""
NEIGHBOURS = tuple(pairwise(LABELS))
_NEAREST = 0.3  # share of the way to the second class, at least; of the way back too


def make_between_model(neighbours: int, site: Site, seed: int) -> SlideModel:
    """A slide whose morphology is 30 to 70 % of the way from one class to the next, label "".

    neighbours: index into NEIGHBOURS. All but the morphology is as in `make_slide_model`, and the morphology
    is a mix of what the same numbers draw in either class. Raises OptionError as it does, and for another
    index.
    """
    if not 0 <= neighbours < len(NEIGHBOURS):
        raise OptionError(f"found neighbours={neighbours}, expected 0 to {len(NEIGHBOURS) - 1}")
    first, second = NEIGHBOURS[neighbours]
    model = make_slide_model(first, site, seed)
    other = draw_morphology(second, generator("morphology", site.name, seed))
    way = float(generator("between", site.name, seed, first).uniform(_NEAREST, 1 - _NEAREST))
    return replace(model, label=UNLABELLED, morphology=mixed(model.morphology, other, way))


def mixed(one: Morphology, other: Morphology, way: float) -> Morphology:
    """Each number `way`, 0..1, of the way from one to the other."""
    return Morphology(
        **{
            field.name: (1 - way) * getattr(one, field.name) + way * getattr(other, field.name)
            for field in fields(Morphology)
        }
    )
