"""Counts add up, shares are shares, and too little tissue is no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2edge import LABELS, Outcome, TileResult, summarize
from her2edge.errors import OptionError


def result(outcome, label=None):
    chances = None
    if label is not None:
        chances = np.full(3, 0.1, np.float32)
        chances[LABELS.index(label)] = 0.8
    return TileResult("s", 0, 0, (1, 1), outcome, probabilities=chances, label=label)


def classified(*labels):
    return [result(Outcome.CLASSIFIED, label) for label in labels]


@given(st.lists(st.sampled_from([*LABELS, "background", "failed", "dropped", "cancelled"])))
def test_every_tile_is_counted_once_and_shares_add_up(kinds):
    results = [
        result(Outcome.CLASSIFIED, kind) if kind in LABELS else result(Outcome(kind)) for kind in kinds
    ]
    summary = summarize(results, min_tissue_tiles=1)
    assert summary.tiles == len(kinds) == sum(summary.outcomes.values())
    assert sum(summary.classes.values()) == summary.outcomes["classified"]
    tissue = any(kind in LABELS for kind in kinds)
    assert sum(summary.shares.values()) == pytest.approx(1 if tissue else 0)
    assert sum(summary.mean_probabilities.values()) == pytest.approx(1 if tissue else 0, abs=1e-6)
    assert summary.assessable is tissue
    assert set(summary.outcomes) == {outcome.value for outcome in Outcome}


def test_the_label_is_that_of_most_tiles():
    assert summarize(classified("2+", "3+", "3+"), min_tissue_tiles=3).label == "3+"


def test_a_tie_goes_to_the_first_label():
    assert summarize(classified("3+", "2+"), min_tissue_tiles=1).label == "2+"


def test_fewer_tissue_tiles_than_asked_for_are_not_assessable_and_say_why():
    results = [*classified("3+", "3+"), *[result(Outcome.BACKGROUND)] * 20]
    summary = summarize(results, min_tissue_tiles=3)
    assert (summary.label, summary.assessable) == ("not_assessable", False)
    assert summary.reason == "found 2 tissue tiles, expected at least 3"
    assert summarize(results, min_tissue_tiles=2).assessable


def test_no_tiles_at_all_are_not_assessable():
    assert summarize([]).label == "not_assessable"


def test_a_minimum_below_one_is_refused():
    with pytest.raises(OptionError, match="min_tissue_tiles"):
        summarize([], min_tissue_tiles=0)
