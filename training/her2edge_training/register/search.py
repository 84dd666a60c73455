"""The coarse search: every angle and every shift, by normalised correlation over what two pictures share.

Padfield 2012, "Masked object registration in the Fourier domain", IEEE Transactions on Image Processing
21(5):2706-2718: means and variances are those of the common part, so the edge of a picture is no feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.register.picture import TISSUE, Picture
from her2edge_training.register.rigid import Matrix

STEP = 3.0  # degrees
MIN_SHARED = 0.5  # of the tissue of each picture
_TOO_FLAT = 1e-3  # of the variance of the whole picture
_Plane = NDArray[np.float32]
_Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A (2, 3) matrix from the moving to the fixed picture, in pixel middles, and how well it fits, <= 1."""

    matrix: Matrix
    score: float


def search(fixed: Picture, mask: _Plane, moving: Picture, keep: int) -> list[Candidate]:
    """At most `keep` candidates that differ, best first, over all of 0..360 degrees.

    fixed, moving: pictures of 100 to 300 pixels. mask: (h, w) float32 of the fixed one, 1 where it may be
    looked at, else 0. The score is the mean correlation of both channels times the root of the share of
    tissue that both see.
    """
    height, width = moving.shape[:2]
    side = int(np.ceil(np.hypot(height, width))) + 2
    correlation = _Correlation(fixed, mask, side)
    inside = np.ones((height, width), np.float32)
    candidates = []
    for angle in np.arange(0.0, 360.0, STEP):
        middle = ((width - 1) / 2, (height - 1) / 2)
        turn = np.asarray(cv2.getRotationMatrix2D(middle, -angle, 1.0), np.float64)
        turn[:, 2] += ((side - width) / 2, (side - height) / 2)
        seen = (cv2.warpAffine(inside, turn, (side, side)) > 0.99).astype(np.float32)
        score, place = correlation.peak(
            np.asarray(cv2.warpAffine(moving, turn, (side, side)), np.float32), seen
        )
        matrix = turn.copy()
        matrix[:, 2] += place
        candidates.append(Candidate(matrix, score))
    return _different(sorted(candidates, key=lambda candidate: -candidate.score), (width, height), keep)


def _different(candidates: list[Candidate], size: tuple[int, int], keep: int) -> list[Candidate]:
    """Without those that carry a picture of `size` to within a tenth of it of where a better one does."""
    width, height = size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    kept: list[Candidate] = []
    for candidate in candidates:
        apart = (np.hypot(*((candidate.matrix - other.matrix) @ corners)).max() for other in kept)
        if candidate.score > 0 and all(distance > 0.1 * max(size) for distance in apart):
            kept.append(candidate)
        if len(kept) == keep:
            break
    return kept


class _Correlation:
    """Correlates pictures of (side, side) with one fixed picture, whose spectra are kept."""

    def __init__(self, fixed: Picture, mask: _Plane, side: int) -> None:
        self._shape = fixed.shape[:2]
        self._size = [cv2.getOptimalDFTSize(length + side - 1) for length in self._shape]
        self._mask, self._frame = self._spectrum(mask), self._spectrum(np.ones_like(mask))
        self._tissue = fixed[..., TISSUE]
        self._tissue_spectrum = self._spectrum(self._tissue)
        self._channels = [self._moments(channel, mask) for channel in np.moveaxis(fixed, 2, 0)]

    def peak(self, moving: Picture, seen: _Plane) -> tuple[float, tuple[int, int]]:
        """The best score of a (side, side) picture, seen where `seen` is 1, and (x, y) of its corner."""
        mask = self._spectrum(seen).conj()
        count = np.maximum(self._back(self._mask * mask), 1.0)
        total = np.zeros_like(count)
        for fixed, channel in zip(self._channels, np.moveaxis(moving, 2, 0), strict=True):
            total += self._score(fixed, self._moments(channel, seen), mask, count)
        tissue = moving[..., TISSUE] * seen
        shared = np.minimum(
            self._back(self._tissue_spectrum * mask) / self._tissue.sum(),
            self._back(self._frame * self._spectrum(tissue).conj()) / tissue.sum(),
        )
        mean = total / len(self._channels) * np.sqrt(np.clip(shared, 0.0, 1.0))
        score = np.where(shared > MIN_SHARED, mean, -1.0)
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        y, x = (
            int(at) - size if at >= length else int(at)
            for at, size, length in zip((row, column), self._size, self._shape, strict=True)
        )
        return float(score[row, column]), (x, y)

    def _score(self, fixed: _Moments, moving: _Moments, mask: _Spectrum, count: _Plane) -> _Plane:
        values, squares = moving.values.conj(), moving.squares.conj()
        fixed_sum, moving_sum = self._back(fixed.values * mask), self._back(self._mask * values)
        fixed_power = self._back(fixed.squares * mask) - fixed_sum**2 / count
        moving_power = self._back(self._mask * squares) - moving_sum**2 / count
        product = self._back(fixed.values * values) - fixed_sum * moving_sum / count
        textured = (fixed_power > _TOO_FLAT * fixed.power) & (moving_power > _TOO_FLAT * moving.power)
        norm = np.sqrt(np.where(textured, fixed_power * moving_power, 1.0))
        return np.asarray(np.where(textured, product / norm, 0.0), np.float32)

    def _moments(self, channel: _Plane, seen: _Plane) -> _Moments:
        centred = (channel - (channel * seen).sum() / seen.sum()) * seen
        squares = centred**2
        return _Moments(self._spectrum(centred), self._spectrum(squares), float(squares.sum()))

    def _spectrum(self, plane: _Plane) -> _Spectrum:
        return np.asarray(np.fft.rfft2(plane, self._size), np.complex64)

    def _back(self, spectrum: _Spectrum) -> _Plane:
        return np.asarray(np.fft.irfft2(spectrum, self._size), np.float32)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Spectra of a centred channel and of its squares; the sum of the squares."""

    values: _Spectrum
    squares: _Spectrum
    power: float
