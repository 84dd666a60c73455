"""A settled label is that of the whole slide, in all but the error of cases, whatever the slide is like."""

from __future__ import annotations

import hashlib
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slide_results import tile

from her2edge import LABELS, Model, Outcome, Settle, answer_slide
from her2edge.answer import RandomOrder, Settling, order_of_places
from her2edge.answer.at_most import at_most
from her2edge.answer.martingale import EXACT, STAKES, Bets, in_grains
from her2edge.answer.order import MOST_PLACES
from her2edge.errors import OptionError

KINDS = [
    *((label, {}) for label in range(3)), (None, {}), (1, {"quality": ("blurred",), "pooled": False}),
    (2, {"novelty": 2.0, "pooled": False}), (0, {"pooled": False}), (0, {"novelty": None}),
]  # fmt: skip
DEMO = Model.demo()
PRINT = hashlib.sha256(b"a slide").hexdigest()


def slow_wealth(values):
    """The wealth after each value, a product for each stake, as the formula is written."""
    total, wealth, sums = len(values), [1.0] * len(STAKES), 0.0
    for i, x in enumerate(values):
        m = (total / 2 - sums) / (total - i)
        for k, c in enumerate(STAKES):
            if m < 0 or (m == 0 and x > 0):
                wealth[k] = math.inf
            elif m > 0:
                wealth[k] *= 1 + c * (x / m - 1)
        sums += x
        yield sum(wealth) / len(STAKES)


@pytest.mark.parametrize("total", [1, 2, 5, 12])
def test_the_wealth_is_the_slow_products_for_every_list_of_votes(total):
    rng = np.random.default_rng(total)
    lists = (
        rng.choice([0, 0.5, 1], (60, total))
        if total > 5
        else np.indices((3,) * total).reshape(total, -1).T / 2
    )
    for values in lists:
        slow = np.maximum.accumulate(np.log(list(slow_wealth(values))))
        fast = Bets(total, 1).read(np.asarray(values, float)[:, np.newaxis])[:, 0]
        assert fast == pytest.approx(np.maximum(slow, 0), abs=1e-9)


def test_wealth_read_in_parts_is_wealth_read_at_once():
    values = np.random.default_rng(3).choice([0, 0.5, 1], (200, 2))
    whole, parts = Bets(200, 2), Bets(200, 2)
    peaks = whole.read(values)
    assert np.array_equal(np.vstack([parts.read(values[i : i + 7]) for i in range(0, 200, 7)]), peaks)


@pytest.mark.parametrize("highest", [0, 1, 2])
def test_wealth_read_one_by_one_is_wealth_read_at_once(highest):
    """To the last value: where all that is left is certain, too."""
    values = np.random.default_rng(highest).choice([0.0, 0.5, 1.0][: highest + 1], (60, 3))
    values[:, 0] = highest / 2
    whole, single = Bets(60, 3), Bets(60, 3)
    for value, peaks in zip(values, whole.read(values), strict=True):
        single.read_one(value)
        assert single.peaks == pytest.approx(peaks, abs=1e-12)
    assert (single.seen, list(single.sums)) == (60, list(whole.sums))


@pytest.mark.parametrize(("ups", "downs"), [(6, 6), (4, 8), (5, 7)])
def test_over_all_orders_of_a_list_at_most_the_error_gets_rich(ups, downs):
    """Every arrangement of N <= 12 votes whose mean is at most one half."""
    total = ups + downs
    rich = dict.fromkeys((0.3, 0.1, 0.05), 0)
    arrangements = [code for code in range(1 << total) if code.bit_count() == ups]
    bits = (np.array(arrangements)[:, np.newaxis] >> np.arange(total)) & 1
    peaks = Bets(total, len(bits)).read(bits.T.astype(float))[-1]
    for error in rich:
        assert np.mean(peaks >= math.log(1 / error) - 1e-12) <= error


def read(classes, columns, rule=None, seed=PRINT, **fields):
    """Read a map in random order until it stops; classes: label indices, -1: background."""
    order = RandomOrder(seed, columns, len(classes) // columns)
    settling = Settling(rule or Settle(), order, LABELS)
    for place in order.places:
        label = int(classes[place])
        settling.add(tile(place, columns, None if label < 0 else label, **fields))
        if settling.stopped:
            break
    return settling


def mixed(shares, tiles=5000, seed=0):
    classes = np.repeat(np.arange(len(shares)), np.rint(np.array(shares) * tiles).astype(int))
    return np.random.default_rng(seed).permutation(classes)


def votes_until_settled(classes, order):
    pairs = list(permutations(range(3), 2))
    votes = np.eye(3)[classes[order]]
    bets = Bets(len(order), 6)
    for start in range(0, len(order), 250):
        part = votes[start : start + 250]
        won = bets.read(np.stack([(1 + part[:, a] - part[:, b]) / 2 for a, b in pairs], 1)) >= math.log(
            4 / 0.05
        )
        best = np.stack(
            [won[:, [i for i, (a, _) in enumerate(pairs) if a == k]].all(axis=1) for k in range(3)], 1
        )
        if best.any():
            first = int(np.argmax(best.any(axis=1)))
            return start + first + 1, int(np.argmax(best[first]))
    return len(order), None


@pytest.mark.parametrize(
    ("shares", "median"),
    [((0.9, 0.07, 0.03), 15), ((0.7, 0.2, 0.1), 40), ((0.55, 0.35, 0.1), 236), ((0.47, 0.43, 0.1), 2897)],
)
def test_maps_settle_as_soon_as_they_should_and_hardly_ever_wrongly(shares, median):
    """The long table, with all maps, is benchmarks/settle.py's."""
    maps = 150 if median < 1000 else 40
    classes = mixed(shares)
    ends = [
        votes_until_settled(classes, np.random.default_rng(seed).permutation(len(classes)))
        for seed in range(maps)
    ]
    assert np.median([tiles for tiles, _ in ends]) == pytest.approx(median, rel=0.2)
    assert sum(label not in (0, None) for _, label in ends) <= 0.05 * maps


def test_a_clear_slide_stops_at_thirty_tissue_tiles_and_not_before():
    settling = read(mixed((1.0, 0, 0), 400), 20)
    verdict = settling.verdict()
    assert (verdict.settled, verdict.label, verdict.tiles_seen, verdict.tiles_total) == (
        True,
        "0/1+",
        30,
        400,
    )
    assert settling.shares == {"0/1+": 1.0, "2+": 0.0, "3+": 0.0}


def test_background_and_failed_places_change_no_verdict_only_its_time():
    classes = mixed((0.8, 0.15, 0.05), 400)
    spread = np.full(1600, -1)
    spread[np.random.default_rng(1).choice(1600, 400, replace=False)] = classes
    for seed in range(8):
        name = hashlib.sha256(bytes([seed])).hexdigest()
        assert (
            read(classes, 20, seed=name).verdict().label
            == read(spread, 40, seed=name).verdict().label
            == "0/1+"
        )


def test_a_tie_is_read_to_the_last_tile_and_known_then():
    settling = read(mixed((0.5, 0.5, 0), 60), 10)
    assert (settling.seen, settling.decided, settling.settled) == (60, False, True)
    verdict = settling.verdict()
    assert verdict.at_most == {"0/1+": 0.5, "2+": 0.5, "3+": 0.0}
    assert (verdict.label, verdict.error, verdict.refused) == ("0/1+", 0.0, None)


@settings(deadline=None)
@given(st.lists(st.sampled_from(range(len(KINDS))), min_size=1, max_size=28), st.integers(1, 6))
def test_a_slide_read_to_its_end_is_known_as_the_full_answer_knows_it(kinds, fewest):
    """Fewer tiles than the minimum: nothing is inferred, all is counted; the rules of `answer_slide`."""
    results = [tile(place, len(kinds), label, **fields) for place, (label, fields) in
               enumerate(KINDS[kind] for kind in kinds)]  # fmt: skip
    order = RandomOrder(PRINT, len(kinds), 1)
    settling = Settling(Settle(), order, LABELS, min_tissue_tiles=fewest)
    for place in order.places:
        settling.add(results[place])
    verdict = settling.verdict()
    full = answer_slide(results, DEMO, min_tissue_tiles=fewest)
    assert (verdict.settled, verdict.error, verdict.stopped_early) == (True, 0.0, False)
    assert ((verdict.label,) if verdict.label else ()) == full.labels
    refusing = [one.code for one in full.reasons if one.code in ("far_from_training", "low_quality")]
    assert verdict.refused == (refusing[0] if refusing else None)
    assert answer_slide(results, DEMO, min_tissue_tiles=fewest, settled=verdict).labels == full.labels


def test_what_was_refused_is_refused_though_the_tiles_read_would_pass():
    """Thirteen novel tiles, then usual ones: the bet on `far` is won, the share of those read is small."""
    order = RandomOrder(PRINT, 50, 40)
    settling, results = Settling(Settle(), order, LABELS), []
    while not settling.stopped:
        odd = {"novelty": 3.0, "pooled": False} if settling.seen < 13 else {}
        results.append(tile(order.places[settling.seen], 50, 2, **odd))
        settling.add(results[-1])
    verdict = settling.verdict()
    assert (verdict.refused, verdict.label, verdict.tiles_seen) == ("far_from_training", None, 30)
    assert answer_slide(results, DEMO).reasons[0].code != "far_from_training"
    answer = answer_slide(results, DEMO, settled=verdict)
    assert (answer.labels, answer.reasons[0].code) == ((), "far_from_training")
    assert "13 of 30 (43 %)" in answer.reasons[0].sentence


def test_the_verdict_names_the_rule_the_reading_went_by():
    rule = Settle(0.1, 40, 90)
    verdict = read(mixed((0.5, 0.5, 0), 400), 20, rule).verdict()
    assert (verdict.rule.error, verdict.rule.minimum, verdict.rule.max_tiles) == (0.1, 40, 90)


def test_a_tile_whose_stains_were_not_fitted_is_asked_for_novelty_all_the_same():
    settling = read(mixed((1, 0, 0), 2000), 50, pooled=False)  # unfitted, novelty 0.5
    assert settling.verdict().refused == "low_quality"
    whole = read(mixed((1, 0, 0), 20), 20, novelty=3.0, quality=("pen",), pooled=False)
    assert whole.verdict().refused == "low_quality", "a quality code: novelty is not asked"


def test_a_slide_far_from_the_training_stops_without_a_label():
    verdict = read(mixed((1, 0, 0), 2000), 50, novelty=3.0, pooled=False).verdict()
    assert (verdict.settled, verdict.label, verdict.refused) == (True, None, "far_from_training")
    assert verdict.tiles_seen < 100


def test_a_slide_of_low_quality_stops_without_a_label():
    verdict = read(mixed((1, 0, 0), 2000), 50, quality=("blurred",), pooled=False).verdict()
    assert (verdict.settled, verdict.label, verdict.refused) == (True, None, "low_quality")
    assert verdict.tiles_seen < 100


def test_a_model_without_novelty_settles_all_the_same():
    assert read(mixed((1, 0, 0), 400), 20, novelty=None).verdict().label == "0/1+"


def test_max_tiles_ends_an_open_reading():
    settling = read(mixed((0.5, 0.5, 0), 400), 20, Settle(max_tiles=50))
    verdict = settling.verdict()
    assert (verdict.settled, verdict.label, verdict.tiles_seen) == (False, None, 50)
    with pytest.raises(OptionError, match="one more tile after the reading ended at tile 50"):
        settling.add(tile(0, 20, 1))


def test_a_label_has_at_most_what_is_said_in_nineteen_of_twenty_readings():
    classes = mixed((0.9, 0.08, 0.02), 1000)
    votes = np.ones(1000, bool)
    bounds = []
    for seed in range(60):
        hits = (classes == 1)[np.random.default_rng(seed).permutation(1000)]
        bounds.append(at_most(1000, hits[:150], votes[:150]))
    assert np.mean(np.array(bounds) >= 0.08) >= 0.95
    assert np.median(bounds) < 0.2
    assert at_most(1000, (classes == 1), votes) == pytest.approx(0.08)
    assert at_most(1000, votes[:0], votes[:0]) == 1.0


def test_the_order_is_blake2b_of_fingerprint_and_place():
    def digest(place):
        return hashlib.blake2b(bytes.fromhex(PRINT) + place.to_bytes(8, "little"), digest_size=8).digest()

    order = order_of_places(PRINT, 9, 7)
    assert list(order) == sorted(range(63), key=lambda place: (digest(place), place))
    assert list(order) == list(RandomOrder(PRINT, 9, 7).places)
    assert not order.flags.writeable


def test_scan_order_is_refused_by_type_and_by_place():
    for other in (range(100), np.arange(100), iter([]), order_of_places(PRINT, 10, 10)):
        with pytest.raises(OptionError, match="expected a RandomOrder"):
            Settling(Settle(), other, LABELS)
    order = RandomOrder(PRINT, 10, 10)
    settling = Settling(Settle(), order, LABELS)
    wrong = (int(order.places[0]) + 1) % 100
    with pytest.raises(OptionError, match="must come in the random order"):
        settling.add(tile(wrong, 10, 1))


@pytest.mark.parametrize(
    "bad",
    [
        {"error": 0}, {"error": 0.51}, {"error": -1}, {"error": float("nan")}, {"error": True},
        {"error": "5 %"},
        {"minimum": 29}, {"minimum": 30.0}, {"minimum": True}, {"max_tiles": 29}, {"max_tiles": 0},
        {"max_tiles": 99.0}, {"minimum": 50, "max_tiles": 40},
    ],
)  # fmt: skip
def test_a_rule_out_of_range_is_refused(bad):
    with pytest.raises(OptionError, match=f"found {list(bad)[-1]}="):
        Settle(**bad)


@pytest.mark.parametrize(
    ("fingerprint", "columns", "rows"),
    [("", 2, 2), ("xy", 2, 2), (PRINT, 0, 2), (PRINT, 2, 2.5), (PRINT, 1 << 20, 1 << 20)],
)
def test_a_grid_that_is_none_has_no_order(fingerprint, columns, rows):
    with pytest.raises(OptionError):
        RandomOrder(fingerprint, columns, rows)


def test_sums_of_grains_do_not_depend_on_the_order():
    values = in_grains(np.random.default_rng(0).random(10_000).astype(np.float32))
    assert values.sum() == values[::-1].sum() == np.cumsum(np.sort(values))[-1]


def test_the_largest_grid_still_has_exact_sums():
    """Halves of differences have 31 bits behind the point; the sum of as many ones has the others."""
    assert MOST_PLACES <= EXACT
    assert EXACT - 2.0**-31 < EXACT == float(EXACT)
    assert 2 * EXACT - 2.0**-31 == 2 * EXACT, "of twice as many they are not"
    with pytest.raises(OptionError, match="expected at most"):
        RandomOrder(PRINT, EXACT, 2)


def test_a_minimum_that_is_no_number_is_refused():
    for bad in (True, 0, 2.5):
        with pytest.raises(OptionError, match="min_tissue_tiles"):
            Settling(Settle(), RandomOrder(PRINT, 2, 2), LABELS, min_tissue_tiles=bad)


def test_results_of_another_model_are_refused():
    order = RandomOrder(PRINT, 2, 2)
    settling = Settling(Settle(), order, LABELS)
    with pytest.raises(OptionError, match="of another model"):
        settling.add(tile(order.places[0], 2, 1, labels=("a", "b")))
    settling.add(tile(order.places[0], 2, None, Outcome.FAILED))
