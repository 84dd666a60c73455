"""Maps of one label whose regions reach as far as one says: what intervals of a share are tried on.

Each is a part of an endless map of known share, so that a slide with few regions is judged as one. `length`
in tiles: a Gaussian field is smoothed with that sigma, which gives regions of about 4 pi length^2; the
correlation of an exponential one falls as exp(-r / length): ragged, with a long tail; Voronoi cells of
4 pi length^2 have one level each. They are the large part g of z = sqrt(1 - NOISE) g + sqrt(NOISE) e,
e white, and a tile has the label where z is above its quantile. Discs have a radius of 2 length, as many as a
Poisson process throws, and the label but for a part of their tiles; above one half, all others have it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
KINDS = ("gaussian", "exponential", "voronoi", "discs")
FORMS = ("full", "ragged", "strip", "sparse 5 %")
STRIP = 8  # tiles across, as of a biopsy
NOISE, MISSED = 0.4, 0.2


def hits(
    rng: np.random.Generator, kind: str, tissue: Flags, length: float, share: float
) -> tuple[Ints, Ints, Flags]:
    """(columns, rows, hits), (n,) each: the places of `tissue` (side, side), and which have the label."""
    rows, columns = np.nonzero(tissue)
    side, n = len(tissue), len(rows)
    if length == 0:
        return columns, rows, np.asarray(rng.random(n) < share)
    if kind == "discs":
        radius, part = 2 * length, min(share, 1 - share) / (1 - MISSED)
        distance, _ = _nearest(rng, rows, columns, side, math.pi * radius**2 / -math.log1p(-part))
        found = (distance <= radius) & (rng.random(n) >= MISSED)
        return columns, rows, found if share <= 0.5 else ~found
    if kind == "voronoi":
        _, cell = _nearest(rng, rows, columns, side, 4 * math.pi * length**2)
        g = rng.standard_normal(cell.max() + 1)[cell]
    else:
        g = field(rng, side, length, kind)[rows, columns]
    z = math.sqrt(1 - NOISE) * g + math.sqrt(NOISE) * rng.standard_normal(n)
    return columns, rows, np.asarray(z > NormalDist().inv_cdf(1 - share))


def tissue(rng: np.random.Generator, side: int, form: str) -> Flags:
    """(side, side) where tiles are pooled: all, a smooth half of the grid, a few rows, or one in twenty."""
    if form in ("full", "strip"):
        return np.repeat(np.arange(side) < (side if form == "full" else STRIP), side).reshape(side, side)
    if form == "sparse 5 %":
        return np.asarray(rng.random((side, side)) < 0.05)
    return np.asarray(field(rng, side, side / 12) > 0)


def field(rng: np.random.Generator, side: int, length: float, kind: str = "gaussian") -> Floats:
    """(side, side) normal values of variance 1 over all maps, not of each; part of one that wraps around."""
    whole = side + math.ceil(6 * length)
    whole += -whole % 8
    frequency = np.hypot(np.fft.fftfreq(whole)[:, np.newaxis], np.fft.rfftfreq(whole)[np.newaxis])
    if kind == "gaussian":
        smoothing = np.exp(-2 * (np.pi * length * frequency) ** 2)
    else:
        smoothing = (1 + (2 * np.pi * length * frequency) ** 2) ** -0.75
    twice = np.full(frequency.shape[1], 2.0)  # columns of the half spectrum stand for two
    twice[[0, -1]] = 1
    smooth = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((whole, whole))) * smoothing, (whole, whole))
    return np.asarray(smooth[:side, :side] / math.sqrt((smoothing**2 * twice).sum() / whole**2))


def _nearest(
    rng: np.random.Generator, rows: Ints, columns: Ints, side: int, area: float
) -> tuple[Floats, Ints]:
    """(n,) distance to the nearest of points thrown at random, one in `area` tiles, and its number."""
    from scipy.spatial import cKDTree

    margin = 4 * math.sqrt(area)
    count = max(1, rng.poisson((side + 2 * margin) ** 2 / area))
    points = rng.uniform(-margin, side + margin, (count, 2))
    distance, number = cKDTree(points).query(np.stack([rows, columns], axis=1))
    return distance, number
