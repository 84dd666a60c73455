"""Prediction sets are crepes' (an independent implementation), set for set, ties included.

A label whose p-value is alpha itself, as (n + 1) alpha can be: crepes keeps it (p >= 1 - confidence), Vovk,
Gammerman & Shafer and this leave it out (p > alpha), which still errs in at most alpha of cases. crepes is
asked for a confidence smaller by a millionth, which is the latter: p-values are whole parts of n + 1.
"""

from __future__ import annotations

import numpy as np
import pytest

from her2edge import LABELS
from her2edge.answer.sets import prediction_set

ALPHA = 0.1
crepes = pytest.importorskip("crepes", reason="crepes is a development dependency")


def test_sets_are_crepes_on_twenty_thousand_cases():
    """200 calibrations of 9 to 39 slides a class, 100 slides each; a grid of scores, so that many tie."""
    rng = np.random.default_rng(14)
    for _ in range(200):
        counts = rng.integers(9, 40, len(LABELS))
        scores = [rng.integers(0, 33, count) / 32 for count in counts]
        chances = rng.integers(0, 33, (100, len(LABELS))) / 32
        bins = np.repeat(np.arange(len(LABELS)), counts)
        oracle = crepes.ConformalClassifier().fit(np.concatenate(scores), bins=bins, seed=0)
        by_label = {label: tuple(own) for label, own in zip(LABELS, scores, strict=True)}
        expected = np.stack(
            [
                oracle.predict_set(
                    1 - chances[:, [k]], bins=np.full(100, k), confidence=1 - ALPHA - 1e-6, smoothing=False
                )[:, 0]
                for k in range(len(LABELS))
            ],
            axis=1,
        )
        for row, holds in zip(chances, expected, strict=True):
            ours = prediction_set(dict(zip(LABELS, row, strict=True)), by_label, ALPHA)
            assert ours == tuple(label for label, one in zip(LABELS, holds, strict=True) if one)


@pytest.mark.parametrize("count", [9, 19, 29])
def test_where_the_rank_is_whole_nine_in_ten_of_exchangeable_slides_are_in_and_no_more(count):
    """Each of n + 1 slides left out in turn: the sets hold exactly (n + 1) (1 - alpha) of them."""
    scores = np.random.default_rng(count).permutation(count + 1) / (count + 1)
    held = [
        bool(prediction_set({"a": 1 - own}, {"a": np.delete(scores, i).tolist()}, ALPHA))
        for i, own in enumerate(scores)
    ]
    assert sum(held) == round((count + 1) * (1 - ALPHA))
