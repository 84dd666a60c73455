"""The verdict on a converted model, from logits alone: what is counted, and how sure one can be of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from her2edge.errors import OptionError
from her2edge.model.records import Limits, Verdict
from her2edge_quantize.gate.intervals import drop_interval, effective_tiles, share_interval
from her2edge_quantize.gate.verdict import judge, worth_a_trial
from her2edge_training.run.predictions import Predictions

LABELS = ("0/1+", "2+", "3+")


def answers(classes: Any, actual: Any = None, tiles_per_slide: int = 20, sure: float = 2.0) -> Predictions:
    """Tiles in slides of one patient each; the logits name `classes`."""
    classes = np.asarray(classes)
    slides = np.array([f"s{i // tiles_per_slide}" for i in range(len(classes))])
    return Predictions(
        labels=LABELS,
        actual=np.asarray(classes if actual is None else actual, dtype=np.int64),
        logits=(sure * np.eye(3)[classes]).astype(np.float32),
        slides=slides,
        groups=np.array([f"patient:{slide}" for slide in slides]),
        sites=np.full(len(classes), "a"),
    )


def after(reference: Predictions, changes: dict[int, int]) -> Verdict:
    """The verdict on a model that names another class on some tiles: {tile: class}."""
    logits = reference.logits.copy()
    for tile, index in changes.items():
        logits[tile] = 2 * np.eye(3)[index]
    return judge(reference, logits, 1.0)


def alone(n: int) -> np.ndarray[Any, Any]:
    """A patient for every tile."""
    return np.array([f"p{i}" for i in range(n)])


def test_a_model_that_says_the_same_passes_on_two_thousand_tiles() -> None:
    verdict = after(answers(np.arange(2000) // 20 % 3), {})
    assert verdict.reasons == ()
    assert (verdict.flips, verdict.changed_slides, verdict.max_difference) == (0, 0, 0.0)
    assert (verdict.tiles, verdict.slides, verdict.patients, verdict.assessed_slides) == (2000, 100, 100, 100)
    assert 0.001 < verdict.flip_interval[1] < 0.003  # nothing found is not nothing there
    assert 0 < verdict.accuracy_drop_interval[1] < 0.005


def test_what_is_counted_is_what_was_changed() -> None:
    reference = answers(np.zeros(2000, int), actual=[1] * 10 + [0] * 1990)
    # Two wrong tiles become right, three right ones wrong, one wrong one wrong in another way.
    verdict = after(reference, {0: 1, 1: 1, 2: 2, 100: 1, 200: 1, 300: 2})
    assert verdict.flips == 6
    assert verdict.accuracy == (1990 + 2 - 3) / 2000
    assert verdict.accuracy_drop == pytest.approx(1 / 2000)
    assert verdict.changed_slides == 0
    same, other = np.exp(2) / (np.exp(2) + 2), 1 / (np.exp(2) + 2)
    assert verdict.max_difference == pytest.approx(same - other, abs=1e-5)
    assert verdict.mean_difference == pytest.approx(6 * (same - other) / 2000, abs=1e-6)


def test_the_upper_bound_decides_and_not_the_share_found() -> None:
    """0.75 % of tiles flip, each in a slide of its own: fewer than the limit, but not surely so."""
    wrong = np.zeros(2000, int)
    wrong[::20] = 2  # what flips is wrong before and after: only the flips are at stake
    verdict = after(answers(np.zeros(2000, int), wrong), {20 * i: 1 for i in range(15)})
    assert verdict.flips / verdict.tiles < verdict.limits.flips < verdict.flip_interval[1]
    assert any("may get another class" in reason for reason in verdict.reasons)
    assert worth_a_trial(verdict)
    assert worth_a_trial(after(answers(np.zeros(2000, int), wrong), {20 * i: 1 for i in range(21)}))


def test_tiles_of_one_patient_count_for_less_than_tiles_of_many() -> None:
    reference = answers(np.zeros(2000, int))
    spread = after(reference, {20 * i: 1 for i in range(8)})
    heaped = after(reference, dict.fromkeys(range(8), 1))
    assert heaped.flips == spread.flips == 8
    assert heaped.flip_interval[1] > 1.5 * spread.flip_interval[1]
    assert spread.flip_interval[1] < 0.01 < heaped.flip_interval[1]


def test_too_few_tiles_or_patients_show_nothing_however_well_they_agree() -> None:
    few = after(answers(np.zeros(180, int)), {})
    assert [reason for reason in few.reasons if "expected at least 2000" in reason]
    assert few.flip_interval[1] > 0.01
    assert not worth_a_trial(few)
    one_patient = after(answers(np.zeros(4000, int), tiles_per_slide=4000), {})
    assert one_patient.flip_interval == (0.0, 1.0)
    assert one_patient.reasons


def test_a_slide_label_that_changes_is_refused_though_hardly_a_tile_does() -> None:
    classes = np.zeros(2000, int)
    classes[40:50] = 2  # one slide of ten and ten: the tie goes to the first label
    verdict = after(answers(classes), {41: 0})
    assert (verdict.flips, verdict.changed_slides) == (1, 0)
    verdict = after(answers(classes), {51: 2})
    assert (verdict.flips, verdict.changed_slides) == (1, 1)
    assert verdict.reasons == ("1 of 100 slide labels change, limit 0",)
    assert worth_a_trial(verdict)


def test_slides_too_small_for_a_label_are_no_evidence_that_labels_stay() -> None:
    verdict = after(answers(np.zeros(2000, int), tiles_per_slide=5), {})
    assert (verdict.assessed_slides, verdict.changed_slides) == (0, 0)
    assert verdict.reasons == ("no slide has the 10 held-out tiles that a slide label takes",)


def test_slides_of_one_name_and_two_patients_are_two() -> None:
    reference = answers(np.zeros(40, int))
    reference.slides[:] = "s"
    assert after(reference, {}).assessed_slides == 2


def test_accuracy_lost_is_refused_even_where_flips_are_allowed() -> None:
    reference, loose = answers(np.zeros(2000, int)), Limits(flips=0.5)
    logits = reference.logits.copy()
    logits[::100] = [0, 2, 0]
    verdict = judge(reference, logits, 1.0, loose)
    assert verdict.accuracy_drop == pytest.approx(0.01)
    assert [reason for reason in verdict.reasons if "(found 1.00), limit 0.5" in reason]
    assert worth_a_trial(verdict)


def test_logits_of_other_tiles_are_refused() -> None:
    reference = answers(np.zeros(30, int))
    for logits in (reference.logits[:-1], reference.logits[:0], reference.logits[:, :2]):
        with pytest.raises(OptionError):
            judge(reference, logits, 1.0)


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
def test_the_same_tile_many_times_is_worth_one(values: list[int], times: int) -> None:
    once, groups = np.array(values), alone(len(values))
    if len(set(values)) == 1:
        return
    repeated = effective_tiles(np.repeat(once, times), np.repeat(groups, times))
    assert repeated == pytest.approx(effective_tiles(once, groups), rel=0.1)


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
