"""Patterns that say why a tile has no colour: one for each reason, seamless from tile to tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from her2edge.results.marks import REASONS

PERIOD, STRIPE = 8, 2  # px
_REPEAT = 2 * PERIOD  # px, after which every pattern begins again, down and across

Mask = NDArray[np.bool_]
_Pattern = Callable[[NDArray[np.intp], NDArray[np.intp]], Mask]


def _stripes(value: NDArray[np.intp]) -> Mask:
    return np.asarray(value % PERIOD < STRIPE)


# y: (h, 1), x: (1, w), pixels of the whole picture; each repeats after _REPEAT
_PATTERNS: tuple[_Pattern, ...] = (
    lambda y, x: _stripes(y + 0 * x),
    lambda y, x: _stripes(y + x),
    lambda y, x: _stripes(y) & _stripes(x),
    lambda y, x: _stripes(y - x),
    lambda y, x: _stripes(y) | _stripes(x),
    lambda y, x: _stripes(x + 0 * y),
    lambda y, x: _stripes(y + x) & (x % (2 * PERIOD) < PERIOD),
    lambda y, x: _stripes(y + x) | _stripes(y - x),
)


def hatching(reason: str, height: int, width: int, top: int = 0, left: int = 0) -> Mask:
    """(height, width) bool, True on the lines of a reason's pattern.

    reason: of `marks.REASONS`; another one has the last pattern. top, left: where in the picture the mask
    begins, pixels, so that neighbours run into each other. Lines are 2 px wide, 8 px apart.
    """
    number = REASONS.index(reason) if reason in REASONS else len(_PATTERNS) - 1
    once = np.arange(_REPEAT)
    patch = _PATTERNS[number](once[:, None], once[None, :])
    y, x = np.arange(top, top + height) % _REPEAT, np.arange(left, left + width) % _REPEAT
    return np.asarray(patch[y[:, None], x[None, :]])
