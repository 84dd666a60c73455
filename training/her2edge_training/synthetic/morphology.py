"""What tells the classes apart: size, regularity and membranes of the tumour cells; never colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABELS: tuple[str, str, str] = ("0/1+", "2+", "3+")
"""Class names in the order used everywhere: negative, equivocal, positive."""


@dataclass(frozen=True)
class Morphology:
    """Tumour cells and their surroundings on one slide.

    nuclear_radius_um: mean radius of tumour nuclei, um.
    radius_cv: pleomorphism, standard deviation of the radius over its mean.
    irregularity: relative amplitude of the nuclear outline's harmonics.
    nuclear_fraction: share of the tumour nests' area under nuclei, 0..1; the same law in every class.
    membrane_completeness: stained share of the cell border's length, 0..1.
    membrane_width_um: width of a stained membrane, um.
    chromatin_um: grain of the chromatin, um.
    nucleoli: mean number of nucleoli per tumour nucleus.
    nest_fraction: share of the tissue in tumour nests, the rest is stroma; the same law in every class.
    """

    nuclear_radius_um: float
    radius_cv: float
    irregularity: float
    nuclear_fraction: float
    membrane_completeness: float
    membrane_width_um: float
    chromatin_um: float
    nucleoli: float
    nest_fraction: float


_RADIUS_UM = (3.2, 4.1, 5.1)
_RADIUS_CV = (0.08, 0.15, 0.26)
_IRREGULARITY = (0.025, 0.05, 0.085)
_COMPLETENESS = (0.03, 0.46, 0.97)
_CHROMATIN_UM = (0.8, 0.85, 0.9)
_NUCLEOLI = (0.2, 0.8, 1.5)


def draw_morphology(label: str, rng: np.random.Generator) -> Morphology:
    """One slide's morphology: the class's means with slide-level spread, so that slides overlap a little."""
    k = LABELS.index(label)

    def near(value: float, spread: float) -> float:
        return float(value * np.exp(rng.normal(0.0, spread)))

    return Morphology(
        nuclear_radius_um=near(_RADIUS_UM[k], 0.065),
        radius_cv=near(_RADIUS_CV[k], 0.15),
        irregularity=near(_IRREGULARITY[k], 0.15),
        nuclear_fraction=float(rng.uniform(0.20, 0.36)),
        membrane_completeness=float(np.clip(_COMPLETENESS[k] + rng.normal(0.0, (0.03, 0.07, 0.03)[k]), 0, 1)),
        membrane_width_um=near(1.15, 0.1),
        chromatin_um=near(_CHROMATIN_UM[k], 0.12),
        nucleoli=near(_NUCLEOLI[k], 0.15),
        nest_fraction=float(rng.uniform(0.72, 0.9)),
    )
