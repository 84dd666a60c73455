"""What tells the classes apart: where the lines in a tumour nest run, around its cells or not.

Size, number, pleomorphism, outline, chromatin and stroma follow one law in every class, and so do the lines
themselves: their length, width and form. What the class decides is how much of a cell's border is lined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABELS: tuple[str, str, str] = ("0/1+", "2+", "3+")
"""Class names in the order used everywhere: negative, equivocal, positive."""

COMPLETENESS = (0.04, 0.50, 0.96)
"""Mean share of the cells' borders that is lined, by class: none, broken, whole (the wording of HER2 IHC)."""
_SPREAD = (0.03, 0.06, 0.03)


@dataclass(frozen=True)
class Morphology:
    """Tumour cells and their surroundings on one slide.

    membrane_completeness: lined share of the cell borders' length, 0..1: the class. What is not there lies
        between the cells as strands of the same length, width and form.
    All else follows the same law in every class:
    nuclear_radius_um: mean radius of tumour nuclei, um.
    radius_cv: pleomorphism, standard deviation of the radius over its mean.
    irregularity: relative amplitude of the nuclear outline's harmonics.
    nuclear_fraction: share of the tumour nests' area under nuclei, 0..1.
    clumping: share of nuclei that may touch another, 0..1.
    membrane_width_um: width of a line, um. line_strength: how much darker than the cytoplasm.
    line_amount: share of all lines, membranes and strands, that is there at all, 0..1.
    blotch_um, blotches: grain, um, and strength of the cytoplasm's unevenness.
    chromatin_um: grain of the chromatin, um.
    nucleoli: mean number of nucleoli per tumour nucleus.
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
    """One slide's morphology; every number but the completeness of membranes is blind to the class."""
    k = LABELS.index(label)

    def near(value: float, spread: float) -> float:
        return float(value * np.exp(rng.normal(0.0, spread)))

    return Morphology(
        nuclear_radius_um=near(4.1, 0.12),
        radius_cv=float(rng.uniform(0.14, 0.34)),
        irregularity=near(0.055, 0.3),
        nuclear_fraction=float(rng.uniform(0.15, 0.33)),
        clumping=float(rng.uniform(0.0, 0.3)),
        membrane_width_um=near(1.7, 0.2),
        line_strength=float(rng.uniform(3.2, 5.0)),
        line_amount=float(rng.uniform(0.7, 1.0)),
        blotch_um=near(5.0, 0.35),
        blotches=float(rng.uniform(0.3, 1.0)),
        chromatin_um=near(0.85, 0.12),
        nucleoli=near(0.8, 0.4),
        nest_fraction=float(rng.uniform(0.72, 0.9)),
        necrosis=float(rng.uniform(0.0, 0.12)),
        stroma_fraction=float(rng.uniform(0.05, 0.16)),
        lymphocytes=float(rng.uniform(0.1, 0.7)),
        membrane_completeness=completeness(k, rng),
    )


def completeness(k: int, rng: np.random.Generator) -> float:
    """A slide's membrane completeness, 0..1, of class k."""
    return float(np.clip(COMPLETENESS[k] + rng.normal(0.0, _SPREAD[k]), 0, 1))
