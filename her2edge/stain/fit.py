"""StainFit: two stain vectors and how strong they are; measured of a tile or slide, or the target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import StainError
from her2edge.files import read_json, write_json

NAMES = ("torchstain", "tiatoolbox")
MAX_FILE_BYTES = 1 << 16
_AGAIN = "fit it again from an H&E image"


@dataclass(frozen=True, eq=False)
class StainFit:
    """Stains of some pixels, in optical density (natural log), in the convention of a profile.

    stain_matrix:      (3, 2) float64, columns haematoxylin and eosin, rows R, G, B.
    max_concentration: (2,) float64, the 99th percentile of each stain's concentration, > 0.
    profile:           "torchstain" or "tiatoolbox": what white is and how the vectors are scaled.

    Raises StainError where the shapes, the values or the rank are wrong.
    """

    stain_matrix: NDArray[np.float64]
    max_concentration: NDArray[np.float64]
    profile: str = "torchstain"

    def __post_init__(self) -> None:
        matrix, strongest = _floats(self.stain_matrix), _floats(self.max_concentration)
        if matrix.shape != (3, 2) or strongest.shape != (2,):
            raise StainError(
                f"found a stain matrix {matrix.shape} with concentrations {strongest.shape}, "
                "expected (3, 2) with (2,)"
            )
        if not (np.isfinite(matrix).all() and np.isfinite(strongest).all()):
            raise StainError(f"found NaN or infinity in a stain fit, expected finite numbers: {_AGAIN}")
        if np.abs(matrix).max() > 10:
            raise StainError(
                f"found a stain matrix with {np.abs(matrix).max():.3g}, expected at most 10: {_AGAIN}"
            )
        if not 1e-3 <= strongest.min() <= strongest.max() <= 1e3:
            raise StainError(
                f"found maximal concentrations {strongest.tolist()}, expected 0.001..1000: {_AGAIN}"
            )
        if _least_singular(matrix) < 1e-3:
            raise StainError(f"found a singular stain matrix, expected two different stain vectors: {_AGAIN}")
        if self.profile not in NAMES:
            raise StainError(f"found profile {self.profile!r}, expected one of {', '.join(NAMES)}: {_AGAIN}")
        for name, array in (("stain_matrix", matrix), ("max_concentration", strongest)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @cached_property
    def unmix(self) -> NDArray[np.float64]:
        """(2, 3) pseudo-inverse of the stain matrix: optical density to concentrations."""
        return pseudo_inverse(self.stain_matrix)

    def to_dict(self) -> dict[str, Any]:
        """Profile and plain lists, as the result files hold them; the manifest's stain part has the same."""
        return {
            "profile": self.profile,
            "stain_matrix": self.stain_matrix.tolist(),
            "max_concentration": self.max_concentration.tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> StainFit:
        """The inverse of `to_dict`; raises StainError naming what is missing or wrong."""
        missing = {"stain_matrix", "max_concentration"} - record.keys()
        if missing:
            raise StainError(
                f"found a stain fit without {', '.join(sorted(missing))}, expected stain_matrix and "
                f"max_concentration: {_AGAIN}"
            )
        profile = record.get("profile", "torchstain")
        return cls(_floats(record["stain_matrix"]), _floats(record["max_concentration"]), profile)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit as JSON, whole or not at all; raises OutputError."""
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StainFit:
        """Read what `save` wrote; raises MissingInputError, or StainError saying what is wrong with it."""
        path = Path(path)
        name = path.name
        expected = f"a stain fit (JSON): {_AGAIN}"
        record = read_json(path, dict[str, Any], limit=MAX_FILE_BYTES, expected=expected, wrong=StainError)
        try:
            return cls.from_dict(record)
        except StainError as error:
            raise StainError(f"{name}: {error}") from error


def pseudo_inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) pseudo-inverse of a (3, 2) matrix of full rank, by Cramer's rule: (M' M)^-1 M'."""
    (a, b), (_, d) = matrix.T @ matrix
    return np.asarray(np.array([[d, -b], [-b, a]]) @ matrix.T / (a * d - b * b))


def _least_singular(matrix: NDArray[np.float64]) -> float:
    """The smaller singular value of a (3, 2) matrix, from the eigenvalues of M' M."""
    (a, b), (_, d) = (matrix.T @ matrix).tolist()
    return float(np.sqrt(max(0.0, ((a + d) - np.hypot(a - d, 2 * b)) / 2)))


def _floats(values: object) -> NDArray[np.float64]:
    try:
        numbers = np.array(values)
        if numbers.dtype.kind not in "iuf":
            raise TypeError("not numbers")
        return numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise StainError(f"found {str(values)[:60]!r} in a stain fit, expected numbers: {_AGAIN}") from error
