"""Stains in training: the SDK's own normaliser, and its augmentation in concentration space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from her2edge.errors import OptionError
from her2edge.stain import MacenkoNormalizer, StainFit, StainMode, StainStatus
from her2edge.stain.profiles import find_profile
from her2edge.tile import Pixels
from her2edge_training.recipe import Recipe, Stain

Normalize = Callable[[Pixels], Pixels]
Recolour = Callable[[Pixels, np.random.Generator], Pixels]


def stain_normalizer(stain: Stain) -> Normalize | None:
    """The SDK's own normaliser, so that training and edge see the same pixels; None where it is off."""
    if stain.mode == StainMode.OFF:
        return None
    normalizer = MacenkoNormalizer(profile=stain.profile)
    return lambda pixels: normalizer.normalize(pixels).pixels


def stain_jitter(recipe: Recipe) -> Recolour | None:
    """Scale the concentrations of a normalised tile's two stains, each by 1 - j .. 1 + j; None where j is 0.

    H&E augmentation of Tellez et al. 2018 (doi 10.1109/TMI.2018.2820199) without its shift, which would
    colour the glass. A normalised tile has the target's stains, so no fit is needed: it is normalised once
    more, with a fit whose strongest concentrations are the target's divided by the factors.
    """
    j = recipe.stain_jitter
    if j == 0:
        return None
    normalizer = MacenkoNormalizer(profile=recipe.stain.profile)
    target = normalizer.target or find_profile(recipe.stain.profile).target
    if target is None:
        raise OptionError(f"found no target of profile {recipe.stain.profile}, expected one for stain_jitter")

    def recolour(pixels: Pixels, random: np.random.Generator) -> Pixels:
        factors = random.uniform(1 - j, 1 + j, 2)
        fit = StainFit(target.stain_matrix, target.max_concentration / factors, target.profile)
        out = normalizer.normalize(np.ascontiguousarray(pixels), fit=fit)
        return out.pixels if out.status is StainStatus.OK else pixels  # not of these two stains

    return recolour
