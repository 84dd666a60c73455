"""Which slides a synthetic cohort has, and how many tiles of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from her2edge.errors import OptionError
from her2edge_training.synthetic.between import NEIGHBOURS, make_between_model
from her2edge_training.synthetic.model import SlideModel, check_seed, make_slide_model
from her2edge_training.synthetic.morphology import LABELS
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.sites import SITES, Site

PAPER_TILES = (3539, 3077, 3764)
"""Tiles of each class that the paper trained with (Joshi et al. 2025, after its tissue filter)."""
PAPER_SLIDES = ((8, 8, 8), (5, 4, 5))
"""Slides of each class at its two sites; of the first the paper says 24 in all, the thirds are ours."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """tiles[i] tiles are drawn of slides[i]; OptionError unless each gives one and names differ."""

    slides: tuple[SlideModel, ...]
    tiles: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.slides) != len(self.tiles) or min(self.tiles, default=0) < 1:
            raise OptionError(
                f"found {self.tiles} tiles of {len(self.slides)} slides, expected 1 or more of each"
            )
        names = {slide.name for slide in self.slides}
        if len(names) < len(self.slides):
            raise OptionError("found two slides of the same name, expected different names")


def even_cohort(
    slides: int, tiles_per_slide: int, seed: int, sites: Sequence[Site] = SITES, *, between: float = 0.0
) -> Cohort:
    """As many tiles of each of `slides` slides: first `make_cohort`'s, then those between two classes.

    between: share of the slides, 0..1, that lie between two neighbouring classes and have no label; the
    neighbours take turns, as sites do. Raises OptionError for another share, and as `make_cohort` does.
    """
    if not 0 <= between <= 1:
        raise OptionError(f"found between={between}, expected a share from 0 to 1")
    without = round(between * slides)
    models = [] if without == slides > 0 else make_cohort(slides - without, sites, seed)
    models += [_between(sites, seed, index) for index in range(slides - without, slides)]
    return Cohort(tuple(models), (tiles_per_slide,) * len(models))


def paper_cohort(share: float, seed: int) -> Cohort:
    """The paper's 38 slides of two sites and its balance of classes; `share` (0..1] of its 10,380 tiles.

    A slide gives the same number of tiles as any other of its class, to within one. Raises OptionError for a
    share out of range or too small for a tile of each slide.
    """
    check_seed(seed)
    if not 0 < share <= 1:
        raise OptionError(f"found a share of {share} of the paper's tiles, expected above 0, at most 1")
    models: list[SlideModel] = []
    tiles: list[int] = []
    for k, label in enumerate(LABELS):
        wanted, number = round(share * PAPER_TILES[k]), sum(counts[k] for counts in PAPER_SLIDES)
        places = [site for site, counts in zip(SITES, PAPER_SLIDES, strict=False) for _ in range(counts[k])]
        for i, site in enumerate(places):
            models.append(_member(label, site, seed, len(models)))
            tiles.append(wanted // number + (i < wanted % number))
    return Cohort(tuple(models), tuple(tiles))


def make_cohort(slides: int, sites: Sequence[Site] = SITES, seed: int = 0) -> list[SlideModel]:
    """`slides` slide models of as many patients: classes balanced to within one, sites crossed with classes.

    Slide i has class i mod 3 and site (i div 3) mod len(sites), so any prefix is balanced too. Raises
    OptionError for fewer than 3 slides (one per class), no site, or a negative seed.
    """
    if slides < len(LABELS):
        raise OptionError(f"found slides={slides}, expected at least {len(LABELS)}: one per class")
    if not sites:
        raise OptionError("found no site, expected at least one: pass her2edge_training.synthetic.SITES")
    check_seed(seed)
    if len({site.name for site in sites}) < len(sites):
        raise OptionError("found two sites of the same name, expected different names")
    return [
        _member(LABELS[i % len(LABELS)], sites[(i // len(LABELS)) % len(sites)], seed, i)
        for i in range(slides)
    ]


def _member(label: str, site: Site, seed: int, index: int) -> SlideModel:
    return _named(make_slide_model(label, site, _seed_of(seed, index)), seed, index)


def _between(sites: Sequence[Site], seed: int, index: int) -> SlideModel:
    site = sites[(index // len(NEIGHBOURS)) % len(sites)]
    return _named(make_between_model(index % len(NEIGHBOURS), site, _seed_of(seed, index)), seed, index)


def _seed_of(seed: int, index: int) -> int:
    return int(generator("cohort", seed, index).integers(2**31))


def _named(model: SlideModel, seed: int, index: int) -> SlideModel:
    site = model.site
    return replace(model, name=f"s{index:04d}-{site.name}", patient=f"P{seed}-{index:04d}")
