"""The Beta quantile is SciPy's; neighbours count as fewer than they are; intervals hold the true share."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from her2edge.answer.beta import beta_quantile
from her2edge.answer.interval import effective_tiles, share_interval
from her2edge.answer.pairs import pairs_by_distance
from her2edge.errors import OptionError


@settings(max_examples=300, deadline=None)
@given(
    st.floats(0.001, 0.999),
    st.floats(-0.3, 5.6).map(lambda power: 10**power),
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
)
def test_the_quantile_is_scipys(p, n, share):
    a, b = share * n + 0.5, (1 - share) * n + 0.5
    assert beta_quantile(p, a, b) == pytest.approx(beta.ppf(p, a, b), abs=1e-9)


def test_the_ends_of_the_quantile_are_those_of_the_range():
    assert (beta_quantile(0, 2, 3), beta_quantile(1, 2, 3)) == (0.0, 1.0)


def by_hand(columns, rows, values, reach):
    """Every pair, one after the other."""
    distance = np.rint(np.hypot(np.subtract.outer(columns, columns), np.subtract.outer(rows, rows))).astype(
        int
    )
    wanted = (distance <= reach) & ~np.eye(len(values), dtype=bool)
    products = np.multiply.outer(values, values)[wanted]
    return [np.bincount(distance[wanted], weights, reach + 1) for weights in (None, products)]


@pytest.mark.parametrize(
    ("tiles", "width", "height", "reach"),
    [(300, 40, 30, 60), (300, 700, 600, 100), (900, 31, 30, 20), (1500, 40, 50, 30), (2, 9000, 1, 50)],
)
def test_pairs_are_counted_as_by_hand_on_grids_of_any_form(tiles, width, height, reach):
    rng = np.random.default_rng(tiles)
    places = rng.choice(width * height, tiles, replace=False)
    columns, rows, values = places % width, places // width, rng.normal(size=tiles)
    pairs = pairs_by_distance(columns, rows, values, reach)
    counts, products = by_hand(columns, rows, values, reach)
    assert pairs.counts == pytest.approx(counts, abs=0)
    assert pairs.products == pytest.approx(products, abs=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_the_effective_number_is_the_formulas(seed):
    """n / (1 + sum rho(r) c(r)) up to the first rho that is not above 0."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((40, 40)) < (1, 0.7, 0.3, 0.05)[seed])
    values = (columns // 5 + rows // 5 + rng.random(len(rows)) > 8).astype(float)
    centred, n = values - values.mean(), len(values)
    counts, products = by_hand(columns, rows, centred, 60)
    total = 1.0
    for count, product in zip(counts[1:], products[1:], strict=True):
        if count:
            rho = product / count / centred.var()
            if rho <= 0:
                break
            total += rho * count / n
    assert effective_tiles(columns, rows, values) == pytest.approx(n / total, rel=1e-9)


def test_the_order_of_tiles_and_where_the_grid_begins_do_not_matter():
    rng = np.random.default_rng(1)
    rows, columns = np.nonzero(rng.random((30, 30)) < 0.5)
    values, mixed = columns > 12, rng.permutation(len(rows))
    worth = effective_tiles(columns, rows, values)
    assert effective_tiles(columns[mixed] + 7000, rows[mixed] + 11, values[mixed]) == pytest.approx(worth)


@pytest.mark.parametrize(
    ("columns", "rows", "values"),
    [([1, 1, 2], [1, 1, 1], [0, 1, 1]), ([1], [1], [1]), ([], [], []), ([1, 2], [1, 1], [1, 1])],
    ids=["two of one place", "one tile", "none", "all alike"],
)
def test_where_the_grid_does_not_tell_there_is_no_number(columns, rows, values):
    assert effective_tiles(columns, rows, values) is None
    assert share_interval(0.5, None) is None


def test_few_effective_tiles_have_a_wide_interval_or_none():
    def width(effective):
        low, high = share_interval(0.5, effective)
        return high - low

    assert share_interval(0.5, 29.9) is None
    assert width(99) == pytest.approx(np.subtract(*beta.ppf([0.975, 0.025], 25.25, 25.25)))
    assert width(100) == pytest.approx(np.subtract(*beta.ppf([0.975, 0.025], 50.5, 50.5)))
    assert share_interval(0.02, 400)[1] == pytest.approx(beta.ppf(0.975, 2.5, 98.5))  # in few clumps


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_label_that_no_tile_has_may_have_a_share_and_one_that_all_have_less(share):
    low, high = share_interval(share, 1000)
    assert low <= share <= high
    assert 0.001 < high - low < 0.03


def test_what_is_no_share_is_refused():
    for share, level in ((-0.1, 0.95), (1.1, 0.95), (float("nan"), 0.95), (0.5, 1.0)):
        with pytest.raises(OptionError, match="expected both between 0 and 1"):
            share_interval(share, 100, level)
    with pytest.raises(OptionError, match="3 columns, 2 rows"):
        effective_tiles([1, 2, 3], [1, 2], [0, 1, 0])


def smooth(rng, side, length):
    """A map of variance 1, two fifths of it noise, the rest smoothed over `length` tiles; it wraps around."""
    frequency = np.fft.fftfreq(side)
    smoothing = np.exp(-2 * (np.pi * length) ** 2 * np.add.outer(frequency**2, frequency**2))
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) * smoothing).real
    return np.sqrt(0.6) * field / field.std() + np.sqrt(0.4) * rng.standard_normal((side, side))


@pytest.mark.parametrize(("keep", "side", "length"), [(1, 70, 3), (1, 70, 0), (0.5, 70, 1), (0.05, 200, 6)])
def test_intervals_hold_the_true_share_where_neighbours_are_alike(keep, side, length):
    """The long table is benchmarks/answer.py's."""
    rng = np.random.default_rng(7)
    given = holds = 0
    for number in range(60):
        share = (0.5, 0.2)[number % 2]
        rows, columns = np.nonzero(rng.random((side, side)) < keep)
        hits = smooth(rng, side, length)[rows, columns] > NormalDist().inv_cdf(1 - share)
        interval = share_interval(float(hits.mean()), effective_tiles(columns, rows, hits))
        if interval is not None:
            given += 1
            holds += interval[0] <= share <= interval[1]
    assert given >= 55
    assert holds / given >= 0.88  # .92 and more of 1,000


def test_huge_sparse_grids_and_the_largest_slides_are_counted_without_their_area():
    rng = np.random.default_rng(0)
    places = np.unique(rng.integers(0, 1 << 32, 4000))
    assert effective_tiles(places % 65536, places // 65536, rng.random(len(places)) < 0.3) > 3000
    rows, columns = np.nonzero(np.ones((633, 633), bool))
    assert effective_tiles(columns, rows, (columns // 9 + rows // 9) % 2) < 50_000
