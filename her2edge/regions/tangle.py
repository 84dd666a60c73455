"""How tangled outlines are, before geometry that costs by the crossing is done on them.

Repairing or joining outlines makes a point of each crossing, about 30 us and 2 kB: an outline of 2,000 points
in 36 kB can have two million of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

ROUNDING = 0.01  # pixels: QuPath writes coordinates with two decimals
MOST_CROSSINGS = 100_000
_MOST_NEAR = 5_000_000  # pairs of segments whose boxes meet; beside eight a segment
_NOISE = 1e-7  # pixels
_AT_ONCE = 1_000_000  # such pairs looked at in one go

Segments = NDArray[np.float64]


def segments(rings: Sequence[NDArray[np.float64]]) -> Segments:
    """(n, 2, 2) float64 from and to, in the frame of the closed rings (m, 2); none of no length."""
    if not rings:
        return np.empty((0, 2, 2))
    lines: Segments = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])
    there: NDArray[np.bool_] = (lines[:, 0] != lines[:, 1]).any(axis=1)
    return np.asarray(lines[there])


def is_tangled(lines: Segments) -> bool:
    """Whether more segments cross, touch or overlap than geometry can be done on in seconds.

    Crossings count, and touching beyond two a segment, which outlines with common borders have.
    """
    crossed = touched = 0
    try:
        for first, second in _near(lines):
            cross, touch = _meetings(lines[first], lines[second])
            crossed += int(cross.sum())
            touched += int(touch.sum())
            if crossed > MOST_CROSSINGS or touched > MOST_CROSSINGS + 2 * len(lines):
                return True
    except _TooManyError:
        return True
    return False


def has_crossing(lines: Segments) -> bool:
    """Whether two segments cross, deeper than rounding makes two that touch; of what is not tangled."""
    return any(_meetings(lines[first], lines[second], ROUNDING)[0].any() for first, second in _near(lines))


class _TooManyError(Exception):
    """More pairs than are worth looking at."""


def _near(lines: Segments) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs of segments whose boxes meet, each once, many at a time; raises _TooManyError.

    In random order, so that what the first ones meet says how many may be asked for at once.
    """
    shapes: Any = shapely.linestrings(lines)
    tree = shapely.STRtree(shapes)
    order = np.random.default_rng(0).permutation(len(lines))
    done, met, size = 0, 0, 16
    while done < len(lines):
        some = np.sort(order[done : done + size])
        first, second = tree.query(shapes[some])
        done, met = done + len(some), met + len(first)
        if met > _MOST_NEAR + 8 * len(lines):
            raise _TooManyError
        first = some[first]
        once = first < second
        yield first[once], second[once]
        size = max(1, min(4 * size, int(_AT_ONCE * done / met)))


def _meetings(
    one: Segments, other: Segments, depth: float = 0.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each pair whose boxes meet: whether they cross, each end more than `depth` beyond the other; whether
    they touch or lie on each other otherwise, but for a common end.
    """
    (a, b), (c, d) = one.swapaxes(0, 1), other.swapaxes(0, 1)
    c_side, d_side = _side(a, b, c), _side(a, b, d)
    a_side, b_side = _side(c, d, a), _side(c, d, b)
    beyond = (np.minimum(abs(c_side), abs(d_side)) > depth) & (np.minimum(abs(a_side), abs(b_side)) > depth)
    cross = beyond & (c_side * d_side < 0) & (a_side * b_side < 0)
    meet = (c_side * d_side <= 0) & (a_side * b_side <= 0)
    on_one_line = (c_side == 0) & (d_side == 0)
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    common_end = _same(a, c) | _same(a, d) | _same(b, c) | _same(b, d)
    on_each_other = (high[:, 0] > low[:, 0]) | (high[:, 1] > low[:, 1])
    touch = meet & ~cross & np.where(on_one_line, on_each_other, ~common_end)
    return cross, touch


def _side(a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance of `p` from the line through `a` and `b`, in their unit; what is but noise is 0."""
    along, to = b - a, p - a
    away = (along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]) / np.hypot(along[:, 0], along[:, 1])
    return np.where(abs(away) < _NOISE, 0.0, away)


def _same(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((p[:, 0] == q[:, 0]) & (p[:, 1] == q[:, 1]))
