"""Fit what tells a tile far from the training tissue: projection, classes' places, limit; see `Novelty`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError
from her2edge.model.novelty import MAX_BYTES, Novelty
from her2edge.model.slide_records import NoveltyRecord, Part
from her2edge_quantize.model_file.archive import npz

COMPONENTS = 32
TILES_PER_COMPONENT = 2
FEWEST_SLIDES = 20
MOST_FITS = 60  # that leave slides out; where there are more slides, several at a time
QUANTILE = 0.95
FAR = 0.5  # of a slide's tiles above the limit: the slide is far
LEAST_VARIANCE = 1e-6  # of the first component's: below, rounding is all there is
HEADERS = 2_000  # bytes of novelty.npz that are no array, at most

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedNovelty:
    """The member and its record. distances: (tiles,) float64, of each tile from the fit that left it out."""

    novelty: Novelty
    record: NoveltyRecord
    distances: Values


def fit_novelty(
    features: NDArray[np.float32],
    labels: NDArray[np.integer],
    slides: NDArray[np.str_],
    count: int,
    parts: tuple[Part, ...] = ("validation",),
    *,
    fewest: int = FEWEST_SLIDES,
) -> FittedNovelty:
    """Fit on tiles of at least `fewest` slides, 2 or more.

    features: (tiles, channels) float32, the mean feature map of each tile. labels: (tiles,), index of each
    tile's class, of `count`. slides: (tiles,) names.

    The limit is the 95 % quantile of distances of tiles whose slides were left out of the fit: those of the
    fit's own tiles are too short. Raises ModelError for too few slides, or features that do not vary.
    """
    if not np.isfinite(features).all():
        raise ModelError("found features that are not finite numbers, expected those of a trained network")
    names, where = np.unique(slides, return_inverse=True)
    if len(names) < fewest:
        raise ModelError(
            f"found tiles of {len(names)} slides to fit novelty on, expected {fewest} or more: train on more "
            "slides and quantise again"
        )
    values = features.astype(np.float64)
    folds = np.arange(len(names)) % min(MOST_FITS, len(names))
    fold = folds[where]
    left = min(int((fold != k).sum()) for k in np.unique(fold))
    components = _components(left, features.shape[1], count)
    distances = np.empty(len(values))
    for k in np.unique(fold):
        out = fold == k
        distances[out] = _distances(_fit(values[~out], labels[~out], count, components), features[out])
    far = sum(
        float(np.mean(distances[where == s] > np.quantile(distances[where != s], QUANTILE))) > FAR
        for s in range(len(names))
    )
    fitted = _fit(
        values, labels, count, components, limit=float(np.float32(np.quantile(distances, QUANTILE)))
    )
    record = NoveltyRecord(
        quantile=QUANTILE,
        far_slides=far,
        slides=len(names),
        tiles=len(values),
        components=len(fitted.variances),
        parts=parts,
    )
    return FittedNovelty(fitted, record, distances)


def novelty_bytes(novelty: Novelty) -> bytes:
    """The member novelty.npz."""
    return npz(
        {
            "weights": novelty.weights,
            "mix": novelty.mix,
            "means": novelty.means,
            "variances": novelty.variances,
            "limit": np.array([novelty.limit], np.float32),
        }
    )


def _components(tiles: int, channels: int, count: int) -> int:
    """As many as tiles can bear and the member has room for."""
    most = max(1, min(COMPONENTS, tiles // TILES_PER_COMPONENT, channels))
    return max(1, min(most, (MAX_BYTES - HEADERS) // (channels + 4 * (most + count + 1))))


def _fit(
    values: Values, labels: NDArray[np.integer], count: int, components: int, limit: float = 1
) -> Novelty:
    """Principal components as int8 rows, and what makes their projections uncorrelated again.

    Rounding a row lets a little of the large components into the small ones, where it would count for much.
    A class without tiles has the place of all of them.
    """
    rows = _principal(values, components)
    weights = np.rint(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)
    rough = values @ weights.T.astype(np.float64)
    centred = rough - rough.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / (len(values) - 1))
    kept = np.flatnonzero(variances > LEAST_VARIANCE * variances[-1])[::-1]
    if len(kept) < len(rows):
        return _fit(values, labels, count, len(kept), limit)
    mix = (axes[:, kept].T / 127).astype(np.float32)
    projected = rough @ mix.T.astype(np.float64)
    of = [labels == k if (labels == k).any() else slice(None) for k in range(count)]
    means = [projected[which].mean(axis=0) for which in of]
    spread = projected.var(axis=0, ddof=1).astype(np.float32)
    return Novelty(weights, mix, np.stack(means).astype(np.float32), spread, limit)


def _principal(values: Values, components: int) -> Values:
    """(components or fewer, channels): axes of the largest variance, orthonormal rows."""
    centred = values - values.mean(axis=0)
    few = len(values) < values.shape[1]  # then the smaller matrix has the same axes
    variances, vectors = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    if not variances[-1] > 0:
        raise ModelError("found features that do not vary between tiles, expected those of a trained network")
    kept = np.flatnonzero(variances > LEAST_VARIANCE * variances[-1])[::-1][:components]
    axes = vectors[:, kept].T
    return axes @ centred / np.sqrt(variances[kept])[:, np.newaxis] if few else axes


def _distances(fitted: Novelty, features: NDArray[np.float32]) -> Values:
    return np.array([fitted.distance(tile) for tile in features])
