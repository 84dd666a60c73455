"""Stains in training: the SDK's own normaliser, and its augmentation in concentration space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge.stain import MacenkoNormalizer, StainFit, StainMode, StainStatus
from her2edge.stain.profiles import find_profile
from her2edge.stain.restain import restain_crop
from her2edge.tile import Pixels
from her2edge_training.recipe import Recipe, Stain

Normalize = Callable[[Pixels], Pixels]


def stain_normalizer(stain: Stain) -> Normalize | None:
    """The SDK's own normaliser, so that training and edge see the same pixels; None where it is off."""
    if stain.mode == StainMode.OFF:
        return None
    normalizer = MacenkoNormalizer(profile=stain.profile)
    return lambda pixels: normalizer.normalize(pixels).pixels


@dataclass(frozen=True, eq=False)
class StainJitter:
    """Scales the concentrations of a normalised tile's two stains, each by 1 - share .. 1 + share.

    H&E augmentation of Tellez et al. 2018 (doi 10.1109/TMI.2018.2820199) without its shift, which would
    colour the glass. A normalised tile has the target's stains, so no fit is needed: it is normalised once
    more, with a fit whose strongest concentrations are the target's divided by the factors.
    """

    share: float
    target: StainFit

    def suits(self, tile: Pixels) -> bool:
        """Whether a whole normalised tile, (h, w, 3) uint8 RGB, is of the target's two stains."""
        normalizer = MacenkoNormalizer(profile=self.target.profile)
        writeable = np.require(tile, requirements="W")  # kernels are compiled for such tiles already
        result = normalizer.normalize(writeable, fit=self.target)
        return result.status is StainStatus.OK

    def factors(self, random: np.random.Generator) -> NDArray[np.float64]:
        """(2,), of haematoxylin and eosin."""
        return random.uniform(1 - self.share, 1 + self.share, 2)

    def into(
        self,
        tile: Pixels,
        corner: tuple[int, int],
        flips: tuple[bool, bool],
        factors: NDArray[np.float64],
        out: Pixels,
    ) -> None:
        """Write the crop of a suitable tile at `corner` (row, column), flipped, to `out`, (t, t, 3) uint8."""
        strongest = self.target.max_concentration / factors
        fit = StainFit(self.target.stain_matrix, strongest, self.target.profile)
        restain_crop(tile, corner, flips, fit, self.target, find_profile(self.target.profile), out)


def stain_jitter(recipe: Recipe) -> StainJitter | None:
    """The recipe's; None where its share is 0."""
    if recipe.stain_jitter == 0:
        return None
    profile = recipe.stain.profile
    target = find_profile(profile).target
    if target is None:
        raise OptionError(f"found no target of profile {profile}, expected one for stain_jitter")
    return StainJitter(recipe.stain_jitter, target)
