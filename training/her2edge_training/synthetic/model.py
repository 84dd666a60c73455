"""One synthetic slide as numbers: its class, its stains and its random effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge_training.synthetic.morphology import LABELS, Morphology, draw_morphology
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.sites import Site, unit_columns

SHARES = np.array([0.0, 0.05, 0.25, 0.5, 0.75, 0.90, 0.97, 1.0])
"""Where the quantile functions of concentrations have their knots."""
_HEMATOXYLIN = np.array([0.45, 0.62, 0.85, 1.0, 1.15, 1.30, 1.45, 1.65])  # inside nuclei
_EOSIN = np.array([0.40, 0.55, 0.76, 0.93, 1.15, 1.42, 1.66, 1.95])  # outside nuclei


@dataclass(frozen=True, eq=False)
class SlideModel:
    """What all tiles of one slide have in common.

    hematoxylin: median concentration inside nuclei; eosin: about the median outside them (optical density
    along a unit stain vector, natural logarithm). hematoxylin_curve, eosin_curve: (8,) float64, the quantile
    functions of these concentrations over these, at SHARES. haze: scale of haematoxylin elsewhere.
    edge: reciprocal slope of a nuclear edge, optics included, in nuclear areas per outline.
    psf_px: the site's optical blur at this slide's focus, standard deviation in pixels.
    stain_matrix: (3, 2) float64, the site's, perturbed. fibre_angle: of the stroma, radians.
    """

    name: str
    patient: str
    site: Site
    label: str
    morphology: Morphology
    hematoxylin: float
    eosin: float
    hematoxylin_curve: NDArray[np.float64] = field(repr=False)
    eosin_curve: NDArray[np.float64] = field(repr=False)
    haze: float
    edge: float
    psf_px: float
    fibre_angle: float
    stain_matrix: NDArray[np.float64] = field(repr=False)
    seed: int = 0


def make_slide_model(label: str, site: Site, seed: int) -> SlideModel:
    """Draw one slide's random effects. Everything but the morphology follows the same law in every class.

    Raises OptionError for a label outside LABELS, something that is not a Site, or a negative seed.
    """
    if label not in LABELS:
        raise OptionError(f"found label {label!r}, expected one of {', '.join(LABELS)}")
    if not isinstance(site, Site):
        raise OptionError(
            f"found site {site!r}, expected a Site: take one of her2edge_training.synthetic.SITES"
        )
    check_seed(seed)
    rng = generator("slide", site.name, seed)
    stains = site.stain_matrix.T + rng.normal(0.0, 0.018, (2, 3))
    # Red must stay visible in eosin: Macenko's fit keeps pixels with OD >= 0.15 in all three channels.
    stains[1, 0] = max(stains[1, 0], 0.17)
    return SlideModel(
        name=f"{site.name}-{seed:08x}",
        patient=f"P{seed:08x}",
        site=site,
        label=label,
        hematoxylin=float(rng.uniform(1.05, 1.75)),
        eosin=float(rng.uniform(0.66, 1.0)),
        hematoxylin_curve=_curve(_HEMATOXYLIN, rng),
        eosin_curve=_curve(_EOSIN, rng),
        haze=float(rng.uniform(0.04, 0.12)),
        edge=float(0.43 * np.exp(rng.normal(0.0, 0.22))),
        psf_px=float(site.psf_px * np.exp(rng.normal(0.0, 0.15))),
        fibre_angle=float(rng.uniform(0.0, np.pi)),
        stain_matrix=unit_columns(stains),
        morphology=draw_morphology(label, generator("morphology", site.name, seed)),
        seed=seed,
    )


def _curve(shape: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A slide's own version of a quantile function: wider or narrower, each step a little off."""
    logs = np.log(shape) * rng.uniform(0.85, 1.25)
    steps = np.diff(logs) * np.exp(rng.normal(0.0, 0.22, len(shape) - 1))
    curve = np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    # The same median as the shape given.
    return np.asarray(curve * shape[3] / curve[3])


def check_seed(seed: int) -> None:
    """Raise OptionError unless `seed` is a whole number >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(f"found seed={seed!r}, expected a whole number of 0 or more")
