"""Agreement: hand counts, and nobody who has no label as answer is counted as agreement."""

from __future__ import annotations

import agreeing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from her2edge import LABELS
from her2edge.agree.compare import compare
from her2edge.agree.records import NO_LABEL

#        0/1+  2+  3+  ambiguous, not assessable, no results
TABLE = ((8, 2, 1, 3, 2, 1), (1, 9, 0, 2, 0, 0), (0, 1, 7, 1, 2, 1))
tables = st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=3, max_size=3)


def test_shares_are_those_counted_by_hand() -> None:
    made = compare(agreeing.records(TABLE), LABELS)
    assert made.patients == 41
    assert (made.agreed.count, made.agreed.of) == (24, 41)
    assert (made.agreed_of_single.count, made.agreed_of_single.of) == (24, 29)
    assert made.positive == "3+"
    assert (made.sensitivity.count, made.sensitivity.of) == (7, 12)
    assert (made.sensitivity_of_single.count, made.sensitivity_of_single.of) == (7, 8)
    assert (made.specificity.count, made.specificity.of) == (20, 29)
    assert (made.specificity_of_single.count, made.specificity_of_single.of) == (20, 21)
    assert [one.count for one in (made.single, made.ambiguous, made.not_assessable, made.no_results)] == [
        29, 6, 4, 2,
    ]  # fmt: skip
    assert made.by_label["2+"].agreed.share == 9 / 12
    assert made.covered is None
    assert made.set_size is None


@given(tables)
@settings(max_examples=60, deadline=None)
def test_every_patient_stands_in_one_cell_and_labels_are_as_scikit_learn_counts(
    table: list[list[int]],
) -> None:
    slides = agreeing.records(table)
    made = compare(slides, LABELS)
    assert [list(row.values()) for row in made.confusion.values()] == table
    parts = (made.single, made.ambiguous, made.not_assessable, made.no_results)
    assert sum(one.count for one in parts) == made.patients == len(slides)
    known, answers = [one.label for one in slides], [one.answer for one in slides]
    if not slides:
        assert made.agreed.share is None
        return
    assert made.agreed.share == pytest.approx(accuracy_score(known, answers))
    matrix = confusion_matrix(known, answers, labels=[*LABELS, *NO_LABEL])
    assert matrix[:3].tolist() == table
    recalls = recall_score(known, answers, labels=LABELS, average=None, zero_division=0)
    for label, recall in zip(LABELS, recalls, strict=True):
        share = made.by_label[label].agreed.share
        assert (share or 0) == pytest.approx(recall)


def test_a_set_is_held_against_the_known_label_and_one_of_all_labels_is_told() -> None:
    slides = [
        agreeing.record(2, "2+", "2+", covered=True),
        agreeing.record(3, "2+", "ambiguous", labels=LABELS, covered=True, all_labels=True),
        agreeing.record(4, "3+", "ambiguous", labels=LABELS[:2], covered=False),
        agreeing.record(5, "3+", "not assessable", covered=False),  # an empty set
        agreeing.record(6, "3+", "not assessable"),  # blurred: no set
    ]
    made = compare(slides, LABELS)
    assert made.covered is not None
    assert (made.covered.count, made.covered.of) == (2, 4)
    assert made.set_size == 6 / 4
    assert made.all_labels == 1
    three = made.by_label["3+"].covered
    assert three is not None
    assert (three.count, three.of) == (0, 2)
    assert made.agreed.count == 1


def test_slides_without_a_score_and_those_that_do_not_count_are_left_out() -> None:
    slides = [
        agreeing.record(2, "2+", "2+"),
        agreeing.record(3, None, "2+"),
        agreeing.record(4, "2+", "3+", counts=False),
    ]
    assert compare(slides, LABELS).patients == 1


def test_two_labels_and_four_are_compared_alike() -> None:
    for labels in (("negative", "positive"), ("0", "1+", "2+", "3+")):
        table = [[5 * (i == j) for j in range(len(labels))] for i in range(len(labels))]
        made = compare(agreeing.records(table, labels), labels)
        assert made.agreed.share == 1
        assert made.positive == labels[-1]
        assert made.weighted_kappa.value == 1
