"""A kit without names: whoever has the list of slides knows by the row which is which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from her2edge.agree.records import ListRead, SlideRecord
from her2edge.results.scored import ScoredSlide
from her2edge.text import folded

DIGITS = 12  # of a fingerprint, as on the pages of `her2edge report --pseudonym`


def without_names(records: Sequence[SlideRecord], slides: Sequence[ScoredSlide]) -> tuple[SlideRecord, ...]:
    """The records, slides and patients under pseudonyms, without links, which hold names of folders.

    slides: of the same rows. A slide is the first digits of its fingerprint, or its row where it has no
    results; a patient is a number, in the order of the list.
    """
    numbers = count(1)
    patients: dict[str, str] = {"": ""}
    made = []
    for record, slide in zip(records, slides, strict=True):
        patient = folded(record.patient)
        if patient not in patients:
            patients[patient] = f"patient {next(numbers)}"
        made.append(
            msgspec.structs.replace(
                record,
                slide=_pseudonym(slide),
                patient=patients[patient],
                why=None if record.why is None else _why(slide),
                page=None,
            )
        )
    return tuple(made)


def list_without_names(listed: ListRead) -> ListRead:
    """The list by its hash; slides that are not in it are counted only."""
    return msgspec.structs.replace(listed, name=f"list {listed.sha256[:DIGITS]}", not_listed_names=())


def _pseudonym(slide: ScoredSlide) -> str:
    if slide.results is None:
        return f"row {slide.row.row}"
    return slide.results.summary.slide.fingerprint[:DIGITS]


def _why(slide: ScoredSlide) -> str:
    """A word for the whole sentence, which names slide and folder."""
    return "not known" if slide.problem is None else slide.problem.value.replace("_", " ")
