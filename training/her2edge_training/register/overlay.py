"""overlay.png and overlay-refused.png: both slides in the frame of the H&E slide, for a person to judge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.results.drawing import plain, width_of, wrapped, write_line
from her2edge.results.scale_bar import with_scale_bar
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_training.register.errors import RegistrationError
from her2edge_training.register.picture import H_DAB, H_E, HAEMATOXYLIN, draw_picture
from her2edge_training.register.rigid import RigidTransform
from her2edge_training.register.slides import Preview, Registration, SlidePair

SIDE = 900  # px, the longer side of either half
SQUARES = 8  # along the longer side
LINE = 26  # px


def draw_overlay(pair: SlidePair, registration: Registration) -> Pixels:
    """(h, w, 3) uint8 RGB. Left: squares of one slide and of the other by turns. Right: haematoxylin, the H&E
    slide's red, the IHC slide's cyan, black where they agree."""
    alignment = registration.alignment
    line = f"angle {alignment.transform.angle:.2f} degrees, residual {alignment.residual.median:.1f} um"
    return _overlaid(pair, alignment.transform, (line, RESEARCH_USE))


def draw_refused(pair: SlidePair, error: RegistrationError) -> Pixels:
    """(h, w, 3) uint8 RGB: `draw_overlay` of the best transform there is, the reason below; where there is
    none, the slides lie middle on middle, not turned."""
    transform = error.transform or _middle_on_middle(pair)
    angle = f"angle {transform.angle:.2f} degrees" if error.transform else "no place found: middle on middle"
    return _overlaid(pair, transform, (f"REFUSED, {angle}: do not use it", str(error), RESEARCH_USE))


def _middle_on_middle(pair: SlidePair) -> RigidTransform:
    middles = [np.array(one.pixels.shape[1::-1]) * one.mpp / 2 for one in (pair.he, pair.ihc)]
    x, y = middles[0] - middles[1]
    return RigidTransform(0.0, (float(x), float(y)))


def _overlaid(pair: SlidePair, transform: RigidTransform, lines: tuple[str, ...]) -> Pixels:
    he_mpp = pair.he.mpp * max(1.0, max(pair.he.pixels.shape[:2]) / SIDE)
    height, width = (max(1, round(side * pair.he.mpp / he_mpp)) for side in pair.he.pixels.shape[:2])
    here = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    there = transform.matrix(1.0, 1.0)
    he, ihc = (
        _drawn(preview, matrix, he_mpp, (width, height))
        for preview, matrix in ((pair.he, here), (pair.ihc, there))
    )
    square = max(1, max(height, width) // SQUARES)
    turns = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2 == 0
    board = np.where(turns[..., None], he, ihc)
    red, cyan = _faint(he, H_E), _faint(ihc, H_DAB)
    halves = np.hstack([board, np.full((height, 12, 3), 255, np.uint8), np.dstack([cyan, red, red])])
    halves = with_scale_bar(halves, he_mpp)
    words = _words(pair, lines, halves.shape[1])
    halves = np.pad(halves, ((0, 0), (0, words.shape[1] - halves.shape[1]), (0, 0)), constant_values=255)
    return np.vstack([halves, words])


def _drawn(preview: Preview, um_matrix: NDArray[np.float64], mpp: float, size: tuple[int, int]) -> Pixels:
    """The preview in a picture of `mpp` um per pixel, white where it has none; the matrix is in um."""
    matrix = um_matrix.copy()
    matrix[:, :2] *= preview.mpp / mpp
    matrix[:, 2] = matrix[:, 2] / mpp - 0.5 + matrix[:, :2] @ (0.5, 0.5)
    smooth = 0.5 * mpp / preview.mpp
    pixels = cv2.GaussianBlur(preview.pixels, (0, 0), smooth) if smooth > 0.5 else preview.pixels
    return np.asarray(cv2.warpAffine(pixels, matrix, size, borderValue=(255, 255, 255)), np.uint8)


def _faint(pixels: Pixels, stains: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(h, w) uint8, 255 for no haematoxylin, 0 for the strongest two per cent."""
    stain = draw_picture(pixels, stains)[..., HAEMATOXYLIN]
    strongest = max(float(np.percentile(stain, 98)), 1e-3)
    return np.asarray(255 - np.minimum(stain / strongest, 1.0) * 255, np.uint8)


def _words(pair: SlidePair, more: tuple[str, ...], width: int) -> Pixels:
    lines = [
        f"left: {pair.he.slide.name} and {pair.ihc.slide.name} by turns",
        "right: haematoxylin, H&E red, IHC cyan, black where they agree",
        *(part for line in more for part in wrapped(line, max(width, SIDE) - 24)),
    ]
    needed = max(width_of(plain(line)) for line in lines) + 24
    legend = np.full((LINE * len(lines) + 16, max(width, needed), 3), 255, np.uint8)
    for number, line in enumerate(lines, start=1):
        write_line(legend, plain(line), 12, LINE * number)
    return legend
