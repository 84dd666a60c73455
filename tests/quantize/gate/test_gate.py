"""The verdict on a converted model, from logits alone: what is counted, and how sure one can be of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from her2edge.errors import OptionError
from her2edge.model.records import Limits, Verdict
from her2edge_quantize.gate.reasons import worth_a_trial
from her2edge_quantize.gate.verdict import judge
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


def test_a_model_that_says_the_same_passes_on_two_thousand_tiles() -> None:
    verdict = after(answers(np.arange(2000) // 20 % 3), {})
    assert verdict.reasons == ()
    assert (verdict.flips, verdict.changed_slides, verdict.max_difference) == (0, 0, 0.0)
    assert (verdict.tiles, verdict.slides, verdict.patients, verdict.assessed_slides) == (2000, 100, 100, 100)
    assert 0.005 < verdict.flip_interval[1] < 0.006  # nothing found is not nothing there
    assert verdict.accuracy_drop_interval[1] > 0.005  # of the loss the share found decides


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
    few = after(reference, {20 * i: 1 for i in range(4)})
    assert few.flip_interval[1] < 0.01 < after(reference, dict.fromkeys(range(4), 1)).flip_interval[1]
    assert few.flip_likeness is not None
    assert few.flip_likeness < 0.01 < heaped.flip_likeness  # type: ignore[operator]


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
    assert [reason for reason in verdict.reasons if "falls by 1.00 points, limit 0.5" in reason]
    assert worth_a_trial(verdict)


def test_logits_of_other_tiles_are_refused() -> None:
    reference = answers(np.zeros(30, int))
    for logits in (reference.logits[:-1], reference.logits[:0], reference.logits[:, :2]):
        with pytest.raises(OptionError):
            judge(reference, logits, 1.0)


def test_fifty_nine_patients_are_too_few_however_many_tiles_they_have() -> None:
    enough = after(answers(np.zeros(60 * 100, int), tiles_per_slide=100), {})
    assert enough.reasons == ()
    few = after(answers(np.zeros(59 * 100, int), tiles_per_slide=100), {})
    assert few.reasons[0].startswith("not shown: 5900 held-out tiles of 59 patients")
    assert "bring 1 more patients with 34 tiles of each" in few.reasons[0]


def test_the_refusal_says_how_many_patients_would_show_it_and_so_many_do() -> None:
    """Two flips in each of three patients: more patients that flip as rarely show it."""
    reference = answers(np.zeros(60 * 34, int), tiles_per_slide=34)
    verdict = after(reference, {34 * i: 1 for i in range(5)})
    (way_out,) = (reason for reason in verdict.reasons if "bring" in reason)
    patients = int(way_out.split("stay as rare, ")[1].split()[0])
    assert patients > 60
    more = answers(np.zeros(patients * 34, int), tiles_per_slide=34)
    assert after(more, {34 * i: 1 for i in range(patients * 5 // 60)}).reasons == ()


def test_where_the_flips_found_are_beyond_the_limit_no_patients_are_asked_for() -> None:
    verdict = after(answers(np.zeros(2400, int), tiles_per_slide=40), {40 * i: 1 for i in range(40)})
    assert not [reason for reason in verdict.reasons if "bring" in reason]
    assert [reason for reason in verdict.reasons if "int8-qat" in reason]


def test_tiles_that_chose_the_checkpoint_do_not_judge() -> None:
    """1,000 tiles that chose flip; 2,400 others do not, and no label is needed of them."""
    reference = answers(np.zeros(3400, int), tiles_per_slide=40)
    judges = np.arange(3400) >= 1000
    reference.actual[judges] = -1
    logits = reference.logits.copy()
    logits[:1000:300] = [0, 2, 0]
    verdict = judge(reference, logits, 1.0, judges=judges)
    assert (verdict.tiles, verdict.patients, verdict.flips) == (2400, 60, 0)
    assert (verdict.labelled, verdict.accuracy) == (1000, 1 - 4 / 1000)  # the only tiles with a label
    assert verdict.reasons == ()


@pytest.mark.parametrize(("lost", "refused"), [(1, False), (2, False), (60, True)])
def test_few_tiles_with_a_label_refuse_a_model_by_the_loss_that_they_show_for_sure(
    lost: int, refused: bool
) -> None:
    """Of 100 tiles one is more than half a point already."""
    reference = answers(np.zeros(2500, int), tiles_per_slide=10)
    judges = np.arange(2500) >= 100
    reference.actual[judges] = -1
    logits = reference.logits.copy()
    logits[:lost] = [0, 2, 0]
    verdict = judge(reference, logits, 1.0, judges=judges)
    assert verdict.accuracy_drop == pytest.approx(lost / 100)
    assert verdict.accuracy_drop > verdict.limits.accuracy_drop
    assert [reason.startswith("accuracy falls by at least") for reason in verdict.reasons] == [True] * refused
    assert worth_a_trial(verdict) is refused


@pytest.mark.parametrize("count", [60, 160, 2000])
def test_flips_that_pass_cannot_cost_more_accuracy_than_the_limit(count: int) -> None:
    """Why the loss found may decide: the bound on flips is the narrower of the two."""
    per_patient = -(-2000 // count)
    reference = answers(np.zeros(per_patient * count, int), tiles_per_slide=per_patient)
    step = len(reference.actual) // 12  # as many as may pass, each in a patient of its own
    passing = [
        flips
        for flips in range(13)
        if (interval := after(reference, {step * i: 1 for i in range(flips)}).flip_interval)
        and interval[1] <= Limits().flips
    ]
    assert passing[-1] < 12
    assert passing[-1] / len(reference.actual) <= 1.1 * Limits().accuracy_drop


def test_where_every_tile_chose_the_model_is_refused() -> None:
    reference = answers(np.zeros(2400, int), tiles_per_slide=20)
    verdict = judge(reference, reference.logits, 1.0, judges=np.zeros(2400, bool))
    (reason,) = verdict.reasons
    assert reason.startswith("not shown: 0 held-out tiles of 0 patients")
    assert "that chose nothing: bring 60 more patients with 34 tiles of each" in reason


def test_accuracy_is_of_tiles_that_chose_nothing_where_they_have_labels() -> None:
    reference = answers(np.zeros(3400, int), tiles_per_slide=40)
    judges = np.arange(3400) >= 1000
    reference.actual[judges & (np.arange(3400) % 2 == 0)] = -1
    verdict = judge(reference, reference.logits, 1.0, judges=judges)
    assert verdict.labelled == 1200
