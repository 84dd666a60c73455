"""StainFit: two stain vectors and how strong they are; of a tile, a slide, or a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import StainError


@dataclass(frozen=True, eq=False)
class StainFit:
    """Stains of some pixels, in optical density (natural log).

    stain_matrix:      (3, 2) float64, columns haematoxylin and eosin, rows R, G, B.
    max_concentration: (2,) float64, the 99th percentile of each stain's concentration, > 0.

    Raises StainError where the shapes, the values or the rank are wrong.
    """

    stain_matrix: NDArray[np.float64]
    max_concentration: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix, strongest = _floats(self.stain_matrix), _floats(self.max_concentration)
        if matrix.shape != (3, 2) or strongest.shape != (2,):
            raise StainError(
                f"found a stain matrix {matrix.shape} with concentrations {strongest.shape}, "
                "expected (3, 2) with (2,)"
            )
        if not (np.isfinite(matrix).all() and np.isfinite(strongest).all()):
            raise StainError("found NaN or infinity in a stain fit, expected finite numbers")
        if strongest.min() < 1e-3:
            raise StainError(f"found maximal concentrations {strongest.tolist()}, expected at least 0.001")
        if np.linalg.svd(matrix, compute_uv=False)[1] < 1e-3:
            raise StainError("found a singular stain matrix, expected two different stain vectors")
        for name, array in (("stain_matrix", matrix), ("max_concentration", strongest)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def unmix(self) -> NDArray[np.float64]:
        """(2, 3) pseudo-inverse of the stain matrix: optical density to concentrations."""
        return np.asarray(np.linalg.pinv(self.stain_matrix), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, as the model manifest and the result files hold them."""
        return {
            "stain_matrix": self.stain_matrix.tolist(),
            "max_concentration": self.max_concentration.tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> StainFit:
        """The inverse of `to_dict`; raises StainError naming what is missing or wrong."""
        missing = {"stain_matrix", "max_concentration"} - record.keys()
        if missing:
            raise StainError(f"found a stain fit without {', '.join(sorted(missing))}")
        return cls(_floats(record["stain_matrix"]), _floats(record["max_concentration"]))


def _floats(values: object) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StainError(f"found {str(values)[:60]!r} in a stain fit, expected numbers") from error


# Reference stains of the original Macenko code, which torchstain also uses.
REFERENCE_TARGET = StainFit(
    np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]]), np.array([1.9705, 1.0308])
)
