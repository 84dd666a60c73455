"""Which tile trains, which validates, which is held out.

"slide-grouped" keeps every patient and slide in one part; "tile-random" is the paper's protocol, which lets
tiles of one slide stand on both sides and so inflates accuracy (Bussola et al. 2019, arXiv 1909.06539);
"site-held-out" keeps patients in one part and tests on a site that training has never seen. Needs no Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge_training.cohort.tile_list import TileListError, TileRecord
from her2edge_training.recipe import Split

PARTS = ("train", "validation", "test")
_DRAWS = 120  # group draws to choose from; the one nearest to the fractions, class by class, is taken
_MISSING = 1e3


@dataclass(frozen=True)
class SplitAssignment:
    """parts[i] of PARTS belongs to records[i]."""

    protocol: str
    seed: int
    records: tuple[TileRecord, ...]
    parts: tuple[str, ...]

    def select(self, part: str) -> tuple[TileRecord, ...]:
        """The records of one part, in the tile list's order."""
        return tuple(r for r, p in zip(self.records, self.parts, strict=True) if p == part)


def make_split(records: Sequence[TileRecord], split: Split, seed: int) -> SplitAssignment:
    """Assign every record to a part; the same records, split and seed give the same parts.

    Fractions are met as nearly as whole groups allow. Raises TileListError where a class would be missing in
    a part.
    """
    records = tuple(records)
    names, labels = np.unique([record.label for record in records], return_inverse=True)
    groups = np.unique([record.group for record in records], return_inverse=True)[1]
    everything = np.arange(len(records))
    _train, validation, test = split.fractions
    grouped = split.protocol != "tile-random"

    def hold_out(among: NDArray[Any], share: float, keep: int) -> NDArray[Any]:
        if grouped:
            held = _hold_out_groups(labels[among], groups[among], share, seed, keep)
        else:
            held = _hold_out_tiles(labels[among], share, seed)
        return np.asarray(among[held])

    if split.site is not None:
        tested = _of_site(records, split.site)
    elif split.fold is not None:
        tested = _of_fold(labels, groups, split.fold, seed)
    else:
        tested = hold_out(everything, test, 2)
    validated = hold_out(np.setdiff1d(everything, tested), validation / (1 - test), 1)
    parts = np.full(len(records), "train", dtype=object)
    parts[tested], parts[validated] = "test", "validation"
    _check(parts, labels, names, groups)
    return SplitAssignment(split.protocol, seed, records, tuple(str(part) for part in parts))


def _of_site(records: tuple[TileRecord, ...], site: str) -> NDArray[Any]:
    """Indices of one site's tiles; raises TileListError where a patient of it has tiles of another, too."""
    held = np.array([record.site == site for record in records])
    if not held.any() or held.all():
        sites = ", ".join(sorted({record.site for record in records}))
        raise TileListError(f"found the sites {sites}, expected {site!r} and another to learn from")
    both = {r.group for r, h in zip(records, held, strict=True) if h} & {
        r.group for r, h in zip(records, held, strict=True) if not h
    }
    if both:
        raise TileListError(
            f"found {len(both)} patients at {site!r} and at another site (first {min(both)}), expected none: "
            "name the site of each patient's slides the same"
        )
    return np.flatnonzero(held)


def _of_fold(labels: NDArray[Any], groups: NDArray[Any], fold: tuple[int, int], seed: int) -> NDArray[Any]:
    """Indices of the i-th of k parts, whole groups, classes balanced as well as groups allow."""
    from sklearn.model_selection import StratifiedGroupKFold

    number, folds = fold
    try:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        return np.asarray([held for _, held in splitter.split(labels, labels, groups)][number])
    except ValueError as error:
        raise TileListError(
            f"{len(np.unique(groups))} groups are too few for {folds} folds: {error}"
        ) from error


def _hold_out_tiles(labels: NDArray[Any], share: float, seed: int) -> NDArray[Any]:
    """Indices of a stratified random `share`."""
    from sklearn.model_selection import StratifiedShuffleSplit

    try:
        splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
        return np.asarray(next(splitter.split(labels, labels))[1])
    except ValueError as error:
        raise TileListError(f"{len(labels)} tiles are too few to split: {error}") from error


def _hold_out_groups(
    labels: NDArray[Any], groups: NDArray[Any], share: float, seed: int, keep: int
) -> NDArray[Any]:
    """Indices of whole groups, about `share` of the tiles of each class, leaving each class `keep` groups."""
    from sklearn.model_selection import GroupShuffleSplit

    n_groups, n_classes = len(np.unique(groups)), len(np.unique(labels))
    if n_groups < keep + 1:
        raise TileListError(
            f"found {n_groups} patients or slides to split, expected at least {keep + 1}, "
            "with every class in three: add slides, or use the protocol tile-random, whose scores flatter"
        )
    # As many groups as the share asks for, or one per class where those would be too few.
    sizes = {max(1, round(share * n_groups)), min(n_classes, n_groups - keep)}
    draws = [
        (kept, held)
        for size in sorted(sizes)
        for kept, held in GroupShuffleSplit(_DRAWS, test_size=size, random_state=seed).split(
            labels, labels, groups
        )
    ]
    costs = [_cost(labels, groups, kept, held, share, keep) for kept, held in draws]
    return np.asarray(draws[int(np.argmin(costs))][1])


def _cost(
    labels: NDArray[Any],
    groups: NDArray[Any],
    kept: NDArray[Any],
    held: NDArray[Any],
    share: float,
    keep: int,
) -> float:
    """Sum over classes of |held share - wanted share|; a class missing on either side outweighs all that."""
    cost = 0.0
    for label in np.unique(labels):
        n_held = np.count_nonzero(labels[held] == label)
        cost += abs(n_held / np.count_nonzero(labels == label) - share)
        cost += _MISSING * (n_held == 0)
        cost += _MISSING * max(0, keep - len(np.unique(groups[kept][labels[kept] == label])))
    return cost


def _check(parts: NDArray[Any], labels: NDArray[Any], names: NDArray[Any], groups: NDArray[Any]) -> None:
    for index, name in enumerate(names):
        for part in PARTS:
            if not np.any((labels == index) & (parts == part)):
                n_groups = len(np.unique(groups[labels == index]))
                raise TileListError(
                    f"no tile of class {name} is left for the {part} part: the class has {n_groups} patients "
                    "or slides, expected at least three; add slides of that class"
                )
