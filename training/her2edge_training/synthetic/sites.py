"""Where slides come from: a laboratory's stains and a scanner's optics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IO = 244.0
"""Grey level of unstained glass before the colour cast."""


def unit_columns(columns: object) -> NDArray[np.float64]:
    """(3, 2) float64 with each column scaled to length 1, read-only."""
    matrix = np.array(columns, dtype=np.float64).T.copy()
    matrix /= np.linalg.norm(matrix, axis=0)
    matrix.setflags(write=False)
    return matrix


@dataclass(frozen=True, eq=False)
class Site:
    """A laboratory and its scanner.

    stain_matrix: (3, 2) float64, unit columns H and E, RGB optical density (natural logarithm).
    gains: (3,) the scanner's colour cast, factors on RGB after the Beer-Lambert law.
    psf_px: standard deviation of the optical blur at the scanner's own scale, pixels.
    noise_levels: standard deviation of the sensor noise, grey levels of 255.
    """

    name: str
    stain_matrix: NDArray[np.float64] = field(repr=False)
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    psf_px: float = 0.7
    noise_levels: float = 1.5


# The first pair of vectors is torchstain 1.4.1's reference; the others are spread around it in the way
# published Macenko fits of different laboratories are (a bluer and a redder haematoxylin, a pinker eosin).
SITES: tuple[Site, ...] = (
    Site(
        "aster",
        unit_columns([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]]),
        (1.0, 0.995, 1.0),
        0.65,
        1.3,
    ),
    Site(
        "birch", unit_columns([[0.650, 0.690, 0.320], [0.225, 0.865, 0.450]]), (1.005, 1.0, 0.985), 0.8, 1.8
    ),
    Site(
        "cedar", unit_columns([[0.600, 0.740, 0.305], [0.190, 0.895, 0.405]]), (0.985, 0.995, 1.01), 0.55, 2.2
    ),
    Site("dune", unit_columns([[0.620, 0.670, 0.405], [0.260, 0.775, 0.575]]), (1.0, 0.985, 0.98), 0.75, 1.1),
)
"""The built-in sites. Their names are invented."""
