"""Intervals of shares of tiles of one patient: against exact binomials, Tango's statistic and simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from her2edge_training.evaluation.intervals import drop_interval, effective_tiles, likeness, share_interval


def alone(n: int) -> np.ndarray[Any, Any]:
    """A patient for every tile."""
    return np.array([f"p{i}" for i in range(n)])


@pytest.mark.parametrize(("hits", "n"), [(0, 2000), (1, 2000), (7, 500), (100, 2000), (300, 300)])
def test_of_independent_tiles_the_interval_is_the_exact_binomial_one(hits: int, n: int) -> None:
    values = np.arange(n) < hits
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(share_interval(values, alone(n)), expected, rtol=5e-3)


def test_without_a_flip_367_tiles_show_one_per_cent() -> None:
    """The rule of three, two-sided: 1 - 0.025 ** (1 / n)."""
    for n, enough in ((360, False), (372, True)):
        assert (share_interval(np.zeros(n, bool), alone(n))[1] <= 0.01) is enough


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=30, max_size=200), st.integers(2, 9))
def test_the_same_tile_many_times_is_worth_no_more_than_one(values: list[int], times: int) -> None:
    once, groups = np.array(values), alone(len(values))
    if len(set(values)) == 1:
        return
    repeated, single = effective_tiles(np.repeat(once, times), np.repeat(groups, times)), len(once)
    assert 0.3 * single < repeated < 1.05 * single  # less where few patients show how alike their tiles are
    if 10 <= sum(values) <= single - 10:
        assert repeated > 0.7 * single


def test_the_interval_holds_the_truth_of_clustered_tiles_as_often_as_it_says() -> None:
    """50 patients of 40 tiles; the flip rate varies from patient to patient (beta), mean 2 %."""
    random = np.random.default_rng(11)
    groups = np.repeat(alone(50), 40)
    outside, naive = 0, 0
    for _ in range(400):
        rates = np.repeat(random.beta(0.2, 9.8, 50), 40)
        hits = random.random(2000) < rates
        outside += not share_interval(hits, groups)[1] >= 0.02
        naive += not binomtest(int(hits.sum()), 2000).proportion_ci(0.95, method="exact").high >= 0.02
    assert outside / 400 < 0.07
    assert naive / 400 > 2 * outside / 400  # what the design effect is for


@pytest.mark.parametrize(("lost", "won", "n"), [(0, 0, 400), (5, 2, 300), (1, 9, 250), (12, 0, 100)])
def test_the_drop_interval_is_where_the_score_test_turns(lost: int, won: int, n: int) -> None:
    """Tango's statistic at both ends is the 97.5 % point, the constrained likelihood found numerically."""
    before = np.arange(n) < n // 2
    flips = np.concatenate([np.arange(lost), n - 1 - np.arange(won)])
    after_ = before.copy()
    after_[flips] ^= True
    worth = effective_tiles(before.astype(float) - after_, alone(n)) / n

    def statistic(drop: float) -> float:
        def loss(won_share: float) -> float:
            shares = (won_share + drop, won_share, 1 - 2 * won_share - drop)
            if min(shares) <= 0:
                return 1e9
            counts = np.array([lost, won, n - lost - won]) * worth
            return -float(np.sum(counts * np.log(shares)))

        low, high = max(0.0, -drop), (1 - drop) / 2
        q = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).x)
        return ((lost - won) - n * drop) * worth / np.sqrt(n * worth * (2 * q + drop - drop**2))

    low, high = drop_interval(before, after_, alone(n))
    assert low < (lost - won) / n < high
    assert statistic(high) == pytest.approx(-norm.ppf(0.975), abs=0.01)
    assert statistic(low) == pytest.approx(norm.ppf(0.975), abs=0.01)


def patients(count: int, tiles: int) -> np.ndarray[Any, Any]:
    """The patient of each tile."""
    return np.repeat(alone(count), tiles)


def test_without_a_miss_tiles_of_a_patient_are_still_taken_for_alike() -> None:
    """2,000 tiles of 60 patients: 1 + 0.1 (m - 1), m = 33.3, is 4.2; so 472 tiles, of which none misses."""
    sizes = np.full(60, 33) + (np.arange(60) < 20)
    groups = np.repeat(alone(60), sizes)
    worth = 2000 / (1 + 0.1 * (float(np.sum(sizes**2)) / 2000 - 1))
    assert effective_tiles(np.zeros(2000), groups) == pytest.approx(worth)
    assert share_interval(np.zeros(2000, bool), groups)[1] == pytest.approx(1 - 0.025 ** (1 / worth))


def test_one_patient_of_many_tiles_makes_all_tiles_worth_less() -> None:
    even, uneven = patients(60, 40), np.repeat(alone(60), [1260, *[20] * 57, 0, 0])
    assert len(even) == len(uneven) == 2400
    assert effective_tiles(np.zeros(2400), uneven) < effective_tiles(np.zeros(2400), even) / 5


def test_misses_of_one_patient_are_worse_than_as_many_of_several() -> None:
    groups = patients(60, 40)
    heaped, spread = np.zeros(2400, bool), np.zeros(2400, bool)
    heaped[:20], spread[::120] = True, True
    assert share_interval(heaped, groups)[1] > 2 * share_interval(spread, groups)[1]


@pytest.mark.parametrize("icc", [0.1, 0.3])
def test_likeness_is_the_correlation_that_was_drawn(icc: float) -> None:
    random = np.random.default_rng(5)
    scale = 1 / icc - 1
    rates = np.repeat(random.beta(0.3 * scale, 0.7 * scale, 800), 25)
    found = likeness((random.random(20_000) < rates).astype(float), patients(800, 25))
    assert found == pytest.approx(icc, abs=0.03)


def test_likeness_is_none_where_nothing_differs_or_every_tile_is_a_patient() -> None:
    assert likeness(np.zeros(20), patients(2, 10)) is None
    assert likeness(np.arange(20.0), alone(20)) is None


def test_a_tenth_of_patients_with_misses_is_held_where_resampling_is_not() -> None:
    """The hard cell of benchmarks/clustered.py: 98 % right, 38 patients of 50 tiles, correlation 0.3."""
    random = np.random.default_rng(3)
    groups, held = patients(38, 50), 0
    for _ in range(400):
        rates = np.repeat(random.beta(0.98 * 7 / 3, 0.02 * 7 / 3, 38), 50)
        low, high = share_interval(random.random(1900) < rates, groups)
        held += low <= 0.98 <= high
    assert held >= 0.91 * 400  # 0.937 of 2,000
