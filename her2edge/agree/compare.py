"""Known scores beside answers: who agrees, how sure that is, and what became of everybody else.

Every patient with a known score is counted, by one slide. An answer of two labels, none, or no results is
never agreement; where it is left out of a denominator, the name says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from her2edge.agree.kappa import Kappa, cohen_kappa
from her2edge.agree.records import AMBIGUOUS, NO_LABEL, NO_RESULTS, NOT_ASSESSABLE, SlideRecord
from her2edge.agree.shares import Share


class LabelAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Of the patients with this known label: agreed with, of all and of those with one label as answer.

    covered: whose prediction set holds it; None without calibrated sets.
    """

    agreed: Share
    agreed_of_single: Share
    covered: Share | None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """patients: with a known score. agreed, by_label, sensitivity, specificity: of all of them, `_of_single`:
    of those with one label as answer.

    positive: the gravest label. sensitivity: answered with it alone, of those who have it. specificity:
    answered with one other label, of those who have not. covered: the set holds the known label, of the
    patients that have a set. set_size: mean number of labels in it. all_labels: sets that hold every label.
    single, ambiguous, not_assessable, no_results: shares of all; they add up to all.
    confusion: counts by known label, then by answer: each label, then `NO_LABEL`.
    """

    patients: int
    agreed: Share
    agreed_of_single: Share
    by_label: dict[str, LabelAgreement]
    kappa: Kappa
    weighted_kappa: Kappa
    positive: str
    sensitivity: Share
    sensitivity_of_single: Share
    specificity: Share
    specificity_of_single: Share
    covered: Share | None
    set_size: float | None
    all_labels: int
    single: Share
    ambiguous: Share
    not_assessable: Share
    no_results: Share
    confusion: dict[str, dict[str, int]]


def compare(slides: Sequence[SlideRecord], labels: Sequence[str]) -> Agreement:
    """The slides that count and whose label is known. labels: the model's, in the order of severity."""
    known = [one for one in slides if one.counts and one.label is not None]
    confusion = {
        label: {answer: _count(known, label, answer) for answer in (*labels, *NO_LABEL)} for label in labels
    }
    table = [[confusion[label][answer] for answer in labels] for label in labels]
    positive = labels[-1]
    ill, well = _split(known, positive)
    single_ill, single_well = _single(ill), _single(well)
    sets = [one for one in known if one.covered is not None]
    return Agreement(
        patients=len(known),
        agreed=_agreed(known),
        agreed_of_single=_agreed(_single(known)),
        by_label={label: _of_label(_split(known, label)[0]) for label in labels},
        kappa=cohen_kappa(table),
        weighted_kappa=cohen_kappa(table, "quadratic"),
        positive=positive,
        sensitivity=_agreed(ill),
        sensitivity_of_single=_agreed(single_ill),
        specificity=Share.count_of(_others(single_well, positive), len(well)),
        specificity_of_single=Share.count_of(_others(single_well, positive), len(single_well)),
        covered=_covered(known),
        set_size=sum(len(one.labels) for one in sets) / len(sets) if sets else None,
        all_labels=sum(one.all_labels for one in known),
        single=Share.count_of(len(_single(known)), len(known)),
        ambiguous=_answered(known, AMBIGUOUS),
        not_assessable=_answered(known, NOT_ASSESSABLE),
        no_results=_answered(known, NO_RESULTS),
        confusion=confusion,
    )


def _of_label(known: list[SlideRecord]) -> LabelAgreement:
    return LabelAgreement(
        agreed=_agreed(known), agreed_of_single=_agreed(_single(known)), covered=_covered(known)
    )


def _split(known: list[SlideRecord], label: str) -> tuple[list[SlideRecord], list[SlideRecord]]:
    """Those who have the label, and those who have not."""
    return [one for one in known if one.label == label], [one for one in known if one.label != label]


def _single(known: list[SlideRecord]) -> list[SlideRecord]:
    return [one for one in known if one.single]


def _others(known: list[SlideRecord], label: str) -> int:
    return sum(one.answer != label for one in known)


def _agreed(known: list[SlideRecord]) -> Share:
    return Share.count_of(sum(one.agrees is True for one in known), len(known))


def _covered(known: list[SlideRecord]) -> Share | None:
    sets = [one.covered for one in known if one.covered is not None]
    return Share.count_of(sum(sets), len(sets)) if sets else None


def _answered(known: list[SlideRecord], answer: str) -> Share:
    return Share.count_of(sum(one.answer == answer for one in known), len(known))


def _count(known: list[SlideRecord], label: str, answer: str) -> int:
    return sum(one.label == label and one.answer == answer for one in known)
