"""RigidTransform: a turn and a shift between the places of two slides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]  # (2, 3), applied to columns (x, y, 1)


@dataclass(frozen=True)
class RigidTransform:
    """Carries places of one slide to another; both in um from the top-left corner, x right, y down.

    angle: degrees, 0 <= angle < 360, clockwise as seen on a screen. shift: (x, y) um, added after the turn.
    """

    angle: float
    shift: tuple[float, float]

    @classmethod
    def of(cls, matrix: Matrix, mpp: float) -> RigidTransform:
        """From the (2, 3) matrix between pictures of `mpp` um per pixel in OpenCV's frame, pixel middles."""
        angle = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])) % 360.0
        turn = _turn(angle)
        x, y = (matrix[:, 2] + 0.5 - turn @ (0.5, 0.5)) * mpp
        return cls(angle, (float(x), float(y)))

    @property
    def inverse(self) -> RigidTransform:
        """The way back."""
        x, y = -_turn(self.angle).T @ self.shift
        return RigidTransform(-self.angle % 360.0, (float(x), float(y)))

    def matrix(self, mpp_from: float, mpp_to: float) -> Matrix:
        """(2, 3) float64 from level-0 pixels of the one to those of the other, origin top left."""
        return np.column_stack([_turn(self.angle) * (mpp_from / mpp_to), np.array(self.shift) / mpp_to])

    def picture_matrix(self, mpp: float) -> Matrix:
        """(2, 3) float64 between two pictures of `mpp` um per pixel in OpenCV's frame: inverse of `of`."""
        turn = _turn(self.angle)
        return np.column_stack([turn, np.array(self.shift) / mpp - 0.5 + turn @ (0.5, 0.5)])


def _turn(angle: float) -> NDArray[np.float64]:
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array([[cosine, -sine], [sine, cosine]])
