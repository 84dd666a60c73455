"""Intervals of shares and of differences are those of SciPy and of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from her2edge.agree.shares import (
    Share,
    difference_of_means,
    difference_of_shares,
    exact_interval,
    t_quantile,
)
from her2edge.errors import OptionError

counts = st.integers(1, 400).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=200, deadline=None)
def test_an_exact_interval_is_scipys(pair: tuple[int, int], level: float) -> None:
    expected = stats.binomtest(*pair).proportion_ci(level, method="exact")
    interval = exact_interval(*pair, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_an_exact_interval_holds_every_share_as_often_as_it_says() -> None:
    """Every outcome by its probability: nothing is drawn."""
    for of in (9, 14, 30):
        intervals = [exact_interval(count, of) for count in range(of + 1)]
        for share in np.linspace(0.005, 0.995, 100):
            chances = stats.binom.pmf(np.arange(of + 1), of, share)
            held = [one.low <= share <= one.high for one in intervals]
            assert chances[held].sum() >= 0.95 - 1e-9


@pytest.mark.parametrize("pair", [(-1, 3), (4, 3), (0, 0)])
def test_counts_that_are_none_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="expected a count"):
        exact_interval(*pair)


def test_a_share_of_nobody_is_none() -> None:
    assert Share.count_of(0, 0) == Share(0, 0, None, None)
    assert Share.count_of(3, 4).share == 0.75


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [  # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ],
)
def test_a_difference_of_shares_is_newcombes(
    now: tuple[int, int], before: tuple[int, int], expected: tuple[float, float]
) -> None:
    interval = difference_of_shares(now, before, 0.95)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(expected, abs=5e-5)
    back = difference_of_shares(before, now, 0.95)
    assert back is not None
    assert (-back.high, -back.low) == pytest.approx(expected, abs=5e-5)


def test_a_difference_from_nobody_is_none() -> None:
    assert difference_of_shares((0, 0), (1, 2), 0.95) is None
    assert difference_of_means([0.5], [0.5, 0.6], 0.95) is None


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
)
@settings(max_examples=100, deadline=None)
def test_a_difference_of_means_is_welchs(now: list[float], before: list[float]) -> None:
    if min(np.var(now), np.var(before)) < 1e-6:
        return
    interval = difference_of_means(now, before, 0.99)
    assert interval is not None
    expected = stats.ttest_ind(now, before, equal_var=False).confidence_interval(0.99)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-8)


def test_means_of_values_that_are_all_the_same_differ_by_a_point() -> None:
    interval = difference_of_means([0.25] * 9, [0.0] * 9, 0.99)
    assert interval is not None
    assert (interval.low, interval.high) == (0.25, 0.25)


@given(st.floats(1, 1e6), st.sampled_from([0.5, 0.95, 0.99]))
@settings(max_examples=100, deadline=None)
def test_students_quantile_is_scipys(freedom: float, level: float) -> None:
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-8)
