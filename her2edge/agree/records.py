"""What a kit is made of: records of the slides of a list, of what read them, and of the list."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from her2edge.model.classes import DEMO_REMARK
from her2edge.model.protocol import SlideProtocol
from her2edge.results.notices import plain

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]

AMBIGUOUS, NOT_ASSESSABLE, NO_RESULTS = "ambiguous", "not assessable", "no results"
NO_LABEL = (AMBIGUOUS, NOT_ASSESSABLE, NO_RESULTS)  # what stands where one label would


class SlideRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A slide of the list, whatever became of it.

    row: of the list. counts: whether it is the patient's one slide, the first of the list. score: as it was
    written; label: the model's label that it stands for, None where there is no score. answer: one label,
    or of `NO_LABEL`. labels: the prediction set. covered: whether the set holds the known label; None without
    a calibrated set. all_labels: the set holds every label, which is no answer. reasons: codes, the gravest
    first. why: what is wrong where there are no results.
    novelty: share of tiles far from training; codes: share of classified tiles that have each quality code;
    all 0..1. stains: 99th percentile of haematoxylin and eosin, optical density; None where not measured.
    page: where its results are shown, as a link from the kit; None where nothing is.
    """

    slide: str
    row: Count
    patient: str
    site: str
    scanner: str | None
    score: str
    label: str | None
    counts: bool
    answer: str
    labels: tuple[str, ...] = ()
    covered: bool | None = None
    all_labels: bool = False
    reasons: tuple[str, ...] = ()
    why: str | None = None
    novelty: Fraction | None = None
    codes: dict[str, Fraction] = {}
    stains: tuple[float, float] | None = None
    page: str | None = None

    def named(self, demo: bool) -> SlideRecord:
        """As it is written: a demo model's answers say so, as `her2edge.results.notices.displayed` has it."""
        if not demo:
            return self
        answer = f"{self.answer}{DEMO_REMARK}" if self.single else self.answer
        labels = tuple(f"{label}{DEMO_REMARK}" for label in self.labels)
        return msgspec.structs.replace(self, answer=answer, labels=labels)

    def unnamed(self) -> SlideRecord:
        """The record that was `named`."""
        return msgspec.structs.replace(self, answer=plain(self.answer), labels=tuple(map(plain, self.labels)))

    @property
    def agrees(self) -> bool | None:
        """Whether one label was answered, and is the known one; None where none is known."""
        return None if self.label is None else self.answer == self.label

    @property
    def single(self) -> bool:
        """Whether one label was answered."""
        return self.answer not in NO_LABEL


class ReadBy(msgspec.Struct, frozen=True, kw_only=True):
    """What read the slides: the same for all, or they are not put together.

    labels: in the order of severity. sha256: of the model file. calibration: patients by label that the sets
    were calibrated on, error: how often they miss at most, 0..1; None: uncalibrated. protocol: how slides
    were read and judged. runtimes, versions: of every run, sorted. first, last: days when the runs began.
    notice: what every output carries.
    """

    notice: str
    name: str
    version: str
    sha256: str
    scheme: str
    labels: tuple[str, ...]
    demo: bool
    gate_overridden: bool
    calibration: dict[str, int] | None
    error: Fraction | None
    protocol: SlideProtocol
    runtimes: tuple[str, ...]
    versions: tuple[str, ...]
    first: str
    last: str


class ListRead(msgspec.Struct, frozen=True, kw_only=True):
    """The list of slides: name, SHA-256, hex, number of its rows. not_listed: how many slides have results
    and no row; their names, unless there are pseudonyms."""

    name: str
    sha256: str
    rows: Count
    not_listed: Count = 0
    not_listed_names: tuple[str, ...] = ()
