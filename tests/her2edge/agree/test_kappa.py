"""Kappa is scikit-learn's, and its interval holds the true one also where nearly all agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from her2edge.agree.kappa import Weights, cohen_kappa

tables = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 12), min_size=k, max_size=k), min_size=k, max_size=k)
)


@given(tables, st.sampled_from(["plain", "quadratic"]))
@settings(max_examples=60, deadline=None)
def test_kappa_is_scikit_learns(table: list[list[int]], weights: Weights) -> None:
    size = len(table)
    pairs = [(i, j) for i in range(size) for j in range(size) for _ in range(table[i][j])]
    kappa = cohen_kappa(table, weights)
    assert kappa.patients == len(pairs)
    if not pairs or len({one for pair in pairs for one in pair}) < 2:
        assert (kappa.value, kappa.interval) == (None, None)
        return
    known, answers = zip(*pairs, strict=True)
    expected = cohen_kappa_score(
        known, answers, labels=range(size), weights=None if weights == "plain" else "quadratic"
    )
    assert kappa.value == pytest.approx(expected, abs=1e-12)
    assert kappa.interval is not None
    assert -1 <= kappa.interval.low <= kappa.value <= kappa.interval.high <= 1


def test_kappa_is_that_of_cohens_own_example() -> None:
    """Cohen 1960, table 1: 200 patients, 0.70 agree, 0.41 by chance."""
    kappa = cohen_kappa([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert kappa.value == pytest.approx((0.70 - 0.41) / (1 - 0.41), abs=1e-12)


def test_the_interval_does_not_vanish_where_all_agree() -> None:
    few, many = cohen_kappa(np.diag([9, 9, 9])), cohen_kappa(np.diag([90, 90, 90]))
    assert few.value == many.value == 1
    assert few.interval is not None
    assert many.interval is not None
    assert 0.8 < few.interval.low < 0.9 < many.interval.low < 1
    assert few.interval.high == 1


@pytest.mark.parametrize("weights", ["plain", "quadratic"])
@pytest.mark.parametrize("wrong", [0.01, 0.1, 0.3])
def test_the_interval_holds_the_true_kappa_nineteen_times_in_twenty(wrong: float, weights: Weights) -> None:
    """300 labs of 30 patients; their tables are drawn, the true kappa is that of the shares."""
    random = np.random.default_rng(7)
    shares = np.array([[1 - wrong, 0.8 * wrong, 0.2 * wrong], [0.5 * wrong, 1 - wrong, 0.5 * wrong],
                       [0.2 * wrong, 0.8 * wrong, 1 - wrong]]) / 3  # fmt: skip
    true = cohen_kappa(np.rint(shares * 3e6), weights).value
    assert true is not None
    held = 0
    for _ in range(300):
        interval = cohen_kappa(random.multinomial(30, shares.ravel()).reshape(3, 3), weights).interval
        assert interval is not None
        held += interval.low <= true <= interval.high
    assert held >= 0.92 * 300


@pytest.mark.parametrize("table", [[[620, 40, 10], [60, 500, 70], [5, 55, 640]], [[700, 90], [140, 1070]]])
def test_of_many_patients_the_interval_is_that_of_the_large_sample_formula(table: list[list[int]]) -> None:
    """Fleiss, Cohen & Everitt 1969, Psychological Bulletin 72, 323-327: the standard error of kappa."""
    n = np.sum(table)
    p = np.array(table) / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    agreed, chance = np.trace(p), rows @ columns
    off = p * (columns[:, None] + rows) ** 2
    variance = (
        np.sum(np.diag(p) * ((1 - chance) - (rows + columns) * (1 - agreed)) ** 2)
        + (1 - agreed) ** 2 * (off.sum() - np.trace(off))
        - (agreed * chance - 2 * chance + agreed) ** 2
    ) / (n * (1 - chance) ** 4)
    kappa = cohen_kappa(table)
    assert kappa.interval is not None
    assert kappa.value is not None
    half = 1.96 * np.sqrt(variance)
    assert kappa.interval.low == pytest.approx(kappa.value - half, abs=0.1 * half)
    assert kappa.interval.high == pytest.approx(kappa.value + half, abs=0.1 * half)


def test_the_same_table_has_the_same_interval() -> None:
    table = [[9, 2, 0], [1, 8, 2], [0, 1, 9]]
    assert cohen_kappa(table) == cohen_kappa(table)
