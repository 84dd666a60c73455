"""Can the site be told from what a network sees? Then a score on known sites may rest on the scanner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_training.evaluation.intervals import share_interval

_FOLDS = 5


@dataclass(frozen=True)
class SiteProbe:
    """Sites told from pooled features of held-out tiles, patients never on both sides.

    balanced_accuracy: mean recall of the sites, 0..1; chance: that of a guess.
    interval: 95 %, of it, tiles of a patient taken as dependent.
    """

    balanced_accuracy: float
    interval: tuple[float, float]
    chance: float
    sites: int
    tiles: int

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval is."""
        return self.interval[0] > self.chance


def probe_sites(
    features: NDArray[Any], sites: NDArray[np.str_], groups: NDArray[np.str_], seed: int = 0
) -> SiteProbe | None:
    """Logistic regression from (n, channels) features to (n,) site names, cross-validated over groups.

    None where there are not two sites with two groups each. What a linear probe finds is there; what it does
    not find may still be (Alain & Bengio 2016, arXiv 1610.01644).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.unique(sites)
    fewest = min(len(np.unique(groups[sites == name])) for name in names)
    if len(names) < 2 or fewest < 2:
        return None
    folds = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    predicted = cross_val_predict(model, features.astype(np.float64), sites, groups=groups, cv=folds)
    share = float(balanced_accuracy_score(sites, predicted))
    interval = _interval(predicted == sites, sites, groups)
    return SiteProbe(share, interval, 1 / len(names), len(names), len(sites))


def _interval(
    right: NDArray[np.bool_], sites: NDArray[np.str_], groups: NDArray[np.str_]
) -> tuple[float, float]:
    """95 % of the mean over sites of the share of `right`: the sites' own intervals put together.

    Zou & Donner 2008, Statistics in Medicine 27, 1693-1702: distances to an end add up as squares.
    """
    of = [sites == name for name in np.unique(sites)]
    shares = np.array([right[site].mean() for site in of])
    low, high = np.array([share_interval(right[site], groups[site]) for site in of]).T
    mean, count = float(shares.mean()), len(of)
    below, above = (float(np.sqrt(np.sum((ends - shares) ** 2))) / count for ends in (low, high))
    return max(0.0, mean - below), min(1.0, mean + above)


def mean_probe(probes: list[SiteProbe | None]) -> SiteProbe | None:
    """Of the folds of a protocol, each with a network of its own: the mean weighted by tiles.

    So are the ends of the interval: folds share training tiles and do not make each other surer.
    """
    some = [probe for probe in probes if probe is not None]
    if not some:
        return None
    tiles = np.array([probe.tiles for probe in some])
    return SiteProbe(
        balanced_accuracy=float(np.average([probe.balanced_accuracy for probe in some], weights=tiles)),
        interval=(
            float(np.average([probe.interval[0] for probe in some], weights=tiles)),
            float(np.average([probe.interval[1] for probe in some], weights=tiles)),
        ),
        chance=float(np.average([probe.chance for probe in some], weights=tiles)),
        sites=max(probe.sites for probe in some),
        tiles=int(tiles.sum()),
    )
