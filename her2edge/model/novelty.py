"""How far a tile is from the tissue a model was trained on, by the mean of its feature map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from her2edge.arrays import read_arrays
from her2edge.errors import ModelError

MAX_BYTES = 32_000
LEAST_LIMIT, LARGEST_LIMIT = 1e-3, 1e6  # beyond, every tile is far, or none ever
ARRAYS = ("weights", "mix", "means", "variances", "limit")


@dataclass(frozen=True, eq=False)
class Novelty:
    """A projection of feature means, the classes' places in it, and the distance that is still usual.

    weights: (components, channels) int8; mix: (components, components) float32: the projection of features
             is z = mix @ (weights @ features), whose parts are uncorrelated although weights are rounded.
    means: (labels, components) float32, of each class's tiles, projected.
    variances: (components,) float32, of all tiles, projected. limit: the usual distance, 0.001..1,000,000.
    """

    weights: NDArray[np.int8]
    mix: NDArray[np.float32]
    means: NDArray[np.float32]
    variances: NDArray[np.float32]
    limit: float

    @cached_property
    def _projection(self) -> NDArray[np.float64]:
        """(components, channels): one product instead of two for each tile."""
        mix, weights = self.mix.astype(np.float64), self.weights.astype(np.float64)
        return np.asarray(np.einsum("jk,kc->jc", mix, weights), dtype=np.float64)

    def distance(self, features: NDArray[np.float32]) -> float:
        """min over classes k of sum over j of (z_j - means_kj)^2 / variances_j, z the projected features.

        features: (channels,) float32, the mean of the feature map over rows and columns. The Mahalanobis
        distance of Lee et al. 2018 (NeurIPS, arXiv 1807.03888), on principal components.

        The sums are made in one order whatever the threads, so that results are the same bytes. Raises
        ModelError where the features are no finite numbers.
        """
        projected = np.einsum("jc,c->j", self._projection, features.astype(np.float64))
        distance = float((np.square(projected - self.means) / self.variances).sum(axis=1).min())
        if not math.isfinite(distance):
            raise ModelError("the network gives features that are not finite numbers")
        return distance

    def score(self, features: NDArray[np.float32]) -> float:
        """`distance` over the limit: above 1, the tile is far from what the model was trained on."""
        return self.distance(features) / self.limit


def read_novelty(data: bytes, channels: int, labels: int) -> Novelty:
    """The member novelty.npz; raises ModelError unless it fits a network of these channels and labels."""
    arrays = read_arrays(data, ARRAYS, name="novelty.npz", limit=MAX_BYTES, wrong=ModelError)
    count = arrays["variances"].size
    wanted = {
        "weights": ("int8", (count, channels)),
        "mix": ("float32", (count, count)),
        "means": ("float32", (labels, count)),
        "variances": ("float32", (count,)),
        "limit": ("float32", (1,)),
    }
    forms = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    if forms != wanted or count == 0:
        raise ModelError(f"found novelty arrays {forms}, expected {wanted}")
    positive = ("variances", "limit")
    if not all(np.isfinite(array).all() for array in arrays.values()) or not all(
        (arrays[name] > 0).all() for name in positive
    ):
        raise ModelError(
            f"found novelty arrays with numbers that are not finite, or {', '.join(positive)} not above 0; "
            "pack the model again"
        )
    limit = float(arrays["limit"][0])
    if not LEAST_LIMIT <= limit <= LARGEST_LIMIT:
        raise ModelError(
            f"found a novelty limit of {limit:g}, expected {LEAST_LIMIT:g}..{LARGEST_LIMIT:g}; "
            "pack the model again"
        )
    return Novelty(arrays["weights"], arrays["mix"], arrays["means"], arrays["variances"], limit)
