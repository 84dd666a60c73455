"""What whoever reads a kit has to know first, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from her2edge.agree.kit import Kit
from her2edge.agree.records import NO_RESULTS, NOT_ASSESSABLE
from her2edge.agree.words import counted_words, interval_words
from her2edge.results.notices import DEMO_NOTICE, OVERRIDDEN_NOTICE
from her2edge.text import folded, percent

_NAMED = 3


def remarks(kit: Kit) -> tuple[str, ...]:
    """The gravest first."""
    return (*_of_the_model(kit), *_of_answers(kit), *_of_the_list(kit))


def _of_the_model(kit: Kit) -> Iterator[str]:
    by = kit.read_by
    if by.demo:
        yield DEMO_NOTICE
    if by.gate_overridden:
        yield OVERRIDDEN_NOTICE
    if by.calibration is None:
        yield "The answers are uncalibrated: no error is stated, and there are no prediction sets to check."
    for what, several in (("versions of her2edge", by.versions), ("runtimes", by.runtimes)):
        if len(several) > 1:
            yield f"Slides were read by several {what}: {', '.join(several)}."


def _of_answers(kit: Kit) -> Iterator[str]:
    counted = [one for one in kit.slides if one.counts]
    without = sum(one.answer == NO_RESULTS for one in counted)
    if without:
        who = counted_words(without, "patient has", "patients have")
        yield f"{who} no results: nothing is known about them."
    if counted and all(one.answer == NOT_ASSESSABLE for one in counted):
        yield "Not one slide is assessable: the model does not fit these slides, or they are of low quality."
    yield from _of_sets(kit)


def _of_sets(kit: Kit) -> Iterator[str]:
    """What is promised is promised of each label."""
    made, error = kit.agreement, kit.read_by.error
    if made is None or error is None:
        return
    covered = {"": made.covered} | {f" {label}": one.covered for label, one in made.by_label.items()}
    for label, share in covered.items():
        if share and share.interval and share.interval.high < 1 - error:
            yield (
                f"The prediction sets hold the known label{label} less often than promised: "
                f"{interval_words(share.interval)}, promised {percent(1 - error)}."
            )


def _of_the_list(kit: Kit) -> Iterator[str]:
    several = {folded(one.patient) for one in kit.slides if not one.counts}
    if several:
        yield (
            f"{counted_words(len(several), 'patient has', 'patients have')} several slides: the first in the "
            "list that has a score is counted, the others are listed below."
        )
    nobody = sum(not one.patient for one in kit.slides)
    if nobody:
        yield (
            f"{counted_words(nobody, 'slide')} of the list without a patient: each counts as a patient of "
            f"its own."
        )
    more = kit.cohort.not_listed
    if more:
        named = kit.cohort.not_listed_names
        names = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
        which = counted_words(more, "slide with results is", "slides with results are")
        yield f"{which} not in the list, and not used{f': {names}' if names else ''}."
