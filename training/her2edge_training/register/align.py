"""Two pictures of one scale -> the rigid transform between them, and how far it is off.

Coarse: all angles and shifts (search.py). Then the same score is climbed at three scales, at the last of
them with haematoxylin alone: where there is tissue at all tells up from down, but eosin and DAB darken it in
different places. OpenCV's findTransformECC was tried for the climb: it follows the correlation of the common
part alone, which grows while the pictures are pushed apart. A quarter of the fixed picture, in blocks, is
kept from all of this; the residual is measured there (residual.py).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.register.picture import TISSUE, Picture, rescale
from her2edge_training.register.residual import Residual, held_out, measure
from her2edge_training.register.rigid import Matrix, RigidTransform
from her2edge_training.register.search import search

SCALES_PX = (128, 512)  # of the longer side of the larger picture: coarse and middle; fine is as given
KEEP = (8, 3, 1)  # candidates that enter the coarse, the middle and the fine climb
WEIGHTS = ((0.5, 0.5), (0.5, 0.5), (1.0, 0.0))  # of haematoxylin and tissue there
SMOOTH_UM = 4.0  # neighbouring sections have clusters of nuclei in common, not each nucleus
FIRST_STEP, LAST_STEP = 2.0, 0.1  # px
# Of steps in angle and both shifts: one alone, or two together, since a turn about another point is both.
_DIRECTIONS = np.array(
    [d for d in itertools.product((-1, 0, 1), repeat=3) if 1 <= np.count_nonzero(d) <= 2], float
)


@dataclass(frozen=True)
class Alignment:
    """transform: from the moving to the fixed picture. score: how well what they share correlates, <= 1."""

    transform: RigidTransform
    score: float
    residual: Residual


def align(fixed: Picture, moving: Picture, mpp: float) -> Alignment | None:
    """Align two pictures of `mpp` um per pixel that hold tissue; None where nothing correlates."""
    longest = max(*fixed.shape[:2], *moving.shape[:2])
    levels = [_Level.of(fixed, moving, mpp, max(mpp, mpp * longest / px)) for px in SCALES_PX]
    levels.append(_Level.of(fixed, moving, mpp, mpp))
    coarse = levels[0]
    candidates = search(coarse.fixed, coarse.mask, coarse.moving, KEEP[0])
    best = [(one.score, RigidTransform.of(one.matrix, coarse.mpp)) for one in candidates]
    for level, keep, weights in zip(levels, KEEP, WEIGHTS, strict=True):
        climbed = [level.climb(transform, weights) for _, transform in best[:keep]]
        best = sorted(climbed, key=lambda pair: -pair[0])
    if not best:
        return None
    (score, transform), fine = best[0], levels[-1]
    moved, seen = fine.move(transform.picture_matrix(mpp))
    return Alignment(transform, score, measure(fine.fixed, moved, seen, mpp))


@dataclass(frozen=True, eq=False)
class _Level:
    """Both pictures, smoothed, at `mpp` um per pixel; mask is 1 where the fixed one may be looked at."""

    mpp: float
    fixed: Picture
    mask: NDArray[np.float32]
    moving: Picture

    @classmethod
    def of(cls, fixed: Picture, moving: Picture, mpp_from: float, mpp: float) -> _Level:
        smooth = max(1.0, SMOOTH_UM / mpp)
        small = [
            np.asarray(cv2.GaussianBlur(rescale(one, mpp_from, mpp), (0, 0), smooth), np.float32)
            for one in (fixed, moving)
        ]
        mask = rescale(1 - held_out(*fixed.shape[:2]), mpp_from, mpp) > 0.5
        return cls(mpp, small[0], mask.astype(np.float32), small[1])

    def climb(self, transform: RigidTransform, weights: tuple[float, float]) -> tuple[float, RigidTransform]:
        """The best score near a transform, and where it is.

        Steps in angle (about the middle of the moving picture) and both shifts as long as one helps, then
        half as long ones.
        """
        start = transform.picture_matrix(self.mpp)
        at, best, step = np.zeros(3), self._score(start, weights), FIRST_STEP
        while step >= LAST_STEP:
            for change in _DIRECTIONS * step:
                while (score := self._score(self._nudged(start, at + change), weights)) > best:
                    best, at = score, at + change
            step /= 2
        return best, RigidTransform.of(self._nudged(start, at), self.mpp)

    def move(self, matrix: Matrix) -> tuple[Picture, NDArray[np.float32]]:
        """The moving picture in the frame of the fixed one, and (h, w) float32, 1 where it has pixels."""
        size = (self.fixed.shape[1], self.fixed.shape[0])
        moved = cv2.warpAffine(self.moving, matrix, size)
        seen = cv2.warpAffine(np.ones(self.moving.shape[:2], np.float32), matrix, size) > 0.99
        return np.asarray(moved, np.float32), seen.astype(np.float32)

    def _nudged(self, matrix: Matrix, by: NDArray[np.float64]) -> Matrix:
        """The matrix after a turn and a shift of so many pixels; the turn as a corner sees it."""
        height, width = self.moving.shape[:2]
        middle = matrix @ ((width - 1) / 2, (height - 1) / 2, 1)
        angle = by[0] * 2 / np.hypot(height, width)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([turn @ matrix[:, :2], turn @ (matrix[:, 2] - middle) + middle + by[1:]])

    def _score(self, matrix: Matrix, weights: tuple[float, float]) -> float:
        """As in search.py: the channels' mean correlation times the root of the tissue share in common."""
        moved, seen = self.move(matrix)
        common = seen * self.mask
        count = float(common.sum())
        if count < 2:
            return -1.0
        correlation = 0.0
        for channel, weight in enumerate(weights):
            if weight:
                a, b = self.fixed[..., channel], moved[..., channel]
                a, b = ((one - float(np.vdot(one, common)) / count) * common for one in (a, b))
                norm = math.sqrt(float(np.vdot(a, a)) * float(np.vdot(b, b)))
                correlation += weight * float(np.vdot(a, b)) / max(norm, 1e-9)
        shared = min(
            float(np.vdot(self.fixed[..., TISSUE], seen)) / float(self.fixed[..., TISSUE].sum()),
            float(moved[..., TISSUE].sum()) / float(self.moving[..., TISSUE].sum()),
        )
        return correlation * math.sqrt(min(shared, 1.0))
