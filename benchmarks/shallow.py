"""What simple numbers of a tile tell of its class, on synthetic slides that a classifier has not seen.

    .venv/bin/python benchmarks/shallow.py [--slides 180] [--tiles 3] [--seed 11] [--save NAME]

Seven sets of features, each with logistic regression, and the numbers that the program drew with a decision
tree, which shows that they hold the class. A network that is better than the seven has learnt what goes
together; one that is not has learnt colour, texture or the size of blobs. No slide is in both halves.
Synthetic tissue only.
"""

from __future__ import annotations

import argparse
from dataclasses import astuple
from typing import Any

import numpy as np
from harness import save
from numpy.typing import NDArray
from simple_features import SETS
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from her2edge.text import percent
from her2edge_training import synthetic

Array = NDArray[Any]


def named(x: Array, y: Array, slides: Array, taught: Array) -> float:
    """Share of the other rows whose class logistic regression names, its strength chosen on those taught."""
    folds = list(GroupKFold(3).split(x[taught], y[taught], slides[taught]))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    strengths = {"logisticregression__C": [0.01, 0.1, 1.0]}
    fitted = GridSearchCV(model, strengths, cv=folds).fit(x[taught], y[taught])
    return float((fitted.predict(x[~taught]) == y[~taught]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=180)
    parser.add_argument("--tiles", type=int, default=3, help="of each slide, 512 px")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--save", metavar="NAME")
    given = parser.parse_args()
    rows: dict[str, list[Array]] = {name: [] for name in SETS}
    drawn, y, groups = [], [], []
    for g, model in enumerate(synthetic.make_cohort(given.slides, seed=given.seed)):
        for index in range(given.tiles):
            pixels = synthetic.make_tile(model, index).pixels
            for name, features in SETS.items():
                rows[name].append(features(pixels))
            drawn.append(astuple(model.morphology))
            y.append(synthetic.LABELS.index(model.label))
            groups.append(g)
    classes, slides = np.array(y), np.array(groups)
    taught = slides < given.slides * 2 // 3
    scores = {name: named(np.array(values), classes, slides, taught) for name, values in rows.items()}
    tree = DecisionTreeClassifier(random_state=0).fit(np.array(drawn)[taught], classes[taught])
    as_drawn = float((tree.predict(np.array(drawn)[~taught]) == classes[~taught]).mean())
    of_blobs = np.array(rows["blobs"])
    blobs = [
        {
            "label": label,
            "spread_of_count": float(of_blobs[classes == k, 0].std() / of_blobs[classes == k, 0].mean()),
            "cv_of_area": float(of_blobs[classes == k, 3].mean()),
        }
        for k, label in enumerate(synthetic.LABELS)
    ]
    tiles = int((~taught).sum())
    for name, share in (*scores.items(), ("as drawn", as_drawn)):
        print(f"{name:<12} {percent(share, 1)} of {tiles} tiles of other slides")
    for one in blobs:
        spreads = f"number +-{percent(one['spread_of_count'], 0)}, area +-{percent(one['cv_of_area'], 0)}"
        print(f"{one['label']}: blobs of a tile, {spreads}")
    if given.save:
        found = {
            "tiles": tiles,
            "slides": given.slides,
            "scores": scores,
            "as_drawn": as_drawn,
            "blobs": blobs,
        }
        save("shallow", found, given.save)


if __name__ == "__main__":
    main()
