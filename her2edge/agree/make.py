"""make_kit: a lab's list and results, and perhaps an earlier kit, become a Kit. Nothing is written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from her2edge.agree.compare import compare
from her2edge.agree.drift import Drift, drift_lines, level_of_a_line
from her2edge.agree.errors import AgreeError
from her2edge.agree.gather import gather
from her2edge.agree.kit import Kit, read_kit
from her2edge.agree.pseudonyms import list_without_names, without_names
from her2edge.agree.records import NO_RESULTS, ListRead, ReadBy, SlideRecord
from her2edge.agree.words import counted_words
from her2edge.answer.sets import FEWEST_OF_A_CLASS
from her2edge.cohort import Cohort
from her2edge.model.protocol import differences
from her2edge.results.scored import read_scored
from her2edge.text import shown


def make_kit(
    results: Path, cohort: Cohort, out: Path, baseline: Path | None = None, *, pseudonym: bool = False
) -> Kit:
    """Put a lab's results beside its list. out: where the kit will be, for links; baseline: an earlier kit.
    pseudonym: as in `without_names`.

    Where the list has known scores, nine patients of each label with results are needed; with a baseline,
    fewer cost the agreement only. Raises AgreeError where that, or one way of reading, is not given; what
    `read_scored` and `read_kit` raise.
    """
    former = None if baseline is None else read_kit(baseline)
    scored = read_scored(cohort, results)
    by, slides = gather(scored, out)
    if pseudonym:  # first: sentences quote the records
        slides = without_names(slides, scored.slides)
    drift = None
    if former is not None:
        _check_alike(by, former[0].read_by)
        drift = Drift(
            baseline=hashlib.sha256(former[1]).hexdigest(),
            first=former[0].read_by.first,
            last=former[0].read_by.last,
            level=level_of_a_line(by.labels),
            lines=drift_lines(slides, former[0].slides, by.labels),
        )
    short = _too_few(slides, by.labels)
    if short is not None and any(one.label for one in slides) and drift is None:
        raise AgreeError(short)
    listed = ListRead(
        name=shown(cohort.path.name), sha256=cohort.sha256, rows=len(cohort), not_listed=len(scored.others),
        not_listed_names=scored.others,
    )  # fmt: skip
    if pseudonym:
        listed = list_without_names(listed)
    return Kit(
        notice=by.notice,
        read_by=by,
        cohort=listed,
        agreement=compare(slides, by.labels) if short is None else None,
        no_agreement=short,
        drift=drift,
        slides=slides,
    )


def _too_few(slides: Sequence[SlideRecord], labels: Sequence[str]) -> str | None:
    """Why there is no agreement to be computed; None: there is."""
    counted = [one for one in slides if one.counts and one.label is not None]
    if not counted:
        return "the list has no known score"
    numbers = Counter(one.label for one in counted if one.answer != NO_RESULTS)
    if min(numbers[label] for label in labels) >= FEWEST_OF_A_CLASS:
        return None
    listed = Counter(one.label for one in counted)
    counts = ", ".join(
        f"{label} {numbers[label]}" + f" ({listed[label]} listed)" * (listed[label] > numbers[label])
        for label in labels
    )
    return (
        f"found too few patients with a known score and results: {counts}; expected {FEWEST_OF_A_CLASS} of "
        "each label, one slide each, or the intervals say nothing: add patients to the list and classify them"
        + "".join(_lost(slides))
    )


def _lost(slides: Sequence[SlideRecord]) -> Iterator[str]:
    """What became of rows that do not count, or say nothing."""
    others = sum(not one.counts for one in slides)
    if others:
        which = counted_words(others, "slide is another", "slides are others")
        yield f"; {which} of a patient who is counted"
    whys = [one.why for one in slides if one.counts and one.why]
    if whys:
        yield f"; {counted_words(len(whys), 'patient has', 'patients have')} no results, first {whys[0]}"


def _check_alike(now: ReadBy, before: ReadBy) -> None:
    """Raises AgreeError where the baseline was read otherwise: its figures are of other things."""
    if now.sha256 != before.sha256:
        raise AgreeError(
            f"found a baseline of another model ({before.sha256[:12]}) than these results "
            f"({now.sha256[:12]}): make a baseline of this model first, without --baseline"
        )
    other = differences(before.protocol, now.protocol)
    if other:
        raise AgreeError(
            f"found a baseline whose slides were read or judged in another way ({'; '.join(other)}): make a "
            f"new baseline first, without --baseline"
        )
