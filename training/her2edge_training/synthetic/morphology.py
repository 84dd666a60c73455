"""What tells the classes apart: where the lines in a tumour nest run, around its cells or not.

The lines' width, form and colour follow one law in every class, and so do density, chromatin and stroma. The
class decides how much of a cell's border is lined; size, pleomorphism, outline and nucleoli only lean with
it: their spread over slides is about as wide as the steps between classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABELS: tuple[str, str, str] = ("0/1+", "2+", "3+")
"""Class names in the order used everywhere: negative, equivocal, positive."""

COMPLETENESS = (0.04, 0.50, 0.96)
"""Mean share of the cells' borders that is lined, by class: none, broken, whole (the wording of HER2 IHC)."""
_SPREAD = (0.03, 0.06, 0.03)
_RADIUS_UM = (3.65, 4.1, 4.6)
_RADIUS_CV = (0.26, 0.30, 0.35)
_IRREGULARITY = (0.045, 0.055, 0.068)
_NUCLEOLI = (0.5, 0.8, 1.2)


@dataclass(frozen=True)
class Morphology:
    """Tumour cells and their surroundings on one slide.

    membrane_completeness: lined share of the cell borders' length, 0..1: the class. What is not there lies
        elsewhere as strands of the same width and form, as far as nuclei leave room.
    These lean with the class, and overlap:
    nuclear_radius_um: mean radius of tumour nuclei, um.
    radius_cv: pleomorphism, standard deviation of the radius over its mean.
    irregularity: relative amplitude of the nuclear outline's harmonics.
    nucleoli: mean number of nucleoli per tumour nucleus.
    All else follows the same law in every class:
    nuclear_fraction: share of the tumour nests' area under nuclei, 0..1.
    clumping: share of nuclei that may touch another, 0..1.
    membrane_width_um: width of a line, um. line_strength: how much darker than the cytoplasm.
    line_amount: share of all lines, membranes and strands, that is there at all, 0..1.
    blotch_um, blotches: grain, um, and strength of the cytoplasm's unevenness.
    chromatin_um: grain of the chromatin, um.
    nest_fraction: share of the tissue in tumour nests, the rest is stroma.
    necrosis: share of the nests without nuclei and lines, 0..1.
    stroma_fraction: share of the stroma under nuclei; lymphocytes: share of these that are round, 0..1.
    """

    nuclear_radius_um: float
    radius_cv: float
    irregularity: float
    nuclear_fraction: float
    clumping: float
    membrane_completeness: float
    membrane_width_um: float
    line_strength: float
    line_amount: float
    blotch_um: float
    blotches: float
    chromatin_um: float
    nucleoli: float
    nest_fraction: float
    necrosis: float
    stroma_fraction: float
    lymphocytes: float


def draw_morphology(label: str, rng: np.random.Generator) -> Morphology:
    """One slide's morphology; only the first five numbers know the class."""
    k = LABELS.index(label)

    def near(value: float, spread: float) -> float:
        return float(value * np.exp(rng.normal(0.0, spread)))

    return Morphology(
        nuclear_radius_um=near(_RADIUS_UM[k], 0.12),
        radius_cv=near(_RADIUS_CV[k], 0.25),
        irregularity=near(_IRREGULARITY[k], 0.3),
        nuclear_fraction=float(rng.uniform(0.11, 0.34)),
        clumping=float(rng.uniform(0.0, 0.3)),
        membrane_width_um=near(1.7, 0.2),
        line_strength=float(rng.uniform(3.8, 5.2)),
        line_amount=float(rng.uniform(0.8, 1.0)),
        blotch_um=near(5.0, 0.35),
        blotches=float(rng.uniform(0.3, 1.0)),
        chromatin_um=near(0.85, 0.12),
        nucleoli=near(_NUCLEOLI[k], 0.4),
        nest_fraction=float(rng.uniform(0.72, 0.9)),
        necrosis=float(rng.uniform(0.0, 0.12)),
        stroma_fraction=float(rng.uniform(0.05, 0.16)),
        lymphocytes=float(rng.uniform(0.1, 0.7)),
        membrane_completeness=completeness(k, rng),
    )


def completeness(k: int, rng: np.random.Generator) -> float:
    """A slide's membrane completeness, 0..1, of class k."""
    return float(np.clip(COMPLETENESS[k] + rng.normal(0.0, _SPREAD[k]), 0, 1))
