"""The slides of a results folder, one entry each: the finished ones, and the others with the reason."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from her2edge.cohort import Cohort, CohortSlide
from her2edge.errors import Her2EdgeError, MissingInputError, OutputError, ResultsError, SlideReadError
from her2edge.files import read_json
from her2edge.results.journal import NAME as JOURNAL
from her2edge.results.owner import RUN, SUMMARY, is_link
from her2edge.results.read_back import RunPart, read_records
from her2edge.results.summary import Summary
from her2edge.slide.fingerprint import fingerprint_slide
from her2edge.text import from_disk, shown

DONE, UNFINISHED, DAMAGED, SET_ASIDE, MISSING = "done", "unfinished", "damaged", "set aside", "no results"
ASIDE = "failed"  # the folder where `watch` keeps why a slide is not tried again
_LEFTOVERS = (RUN, SUMMARY, "tiles.csv", JOURNAL)
_LIMIT = 1 << 20  # bytes


class _Aside(msgspec.Struct, frozen=True):
    """What is needed of failed/<slide>.json."""

    slide: str
    reason: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Entry:
    """A slide. name: as its results have it; of an unfinished one its folder's. state: one of the five above.

    remark: why there are no results, or what is odd; folder: of the results, None where there is none.
    summary, run: of finished ones. row: of the cohort; None where it is in none.
    """

    name: str
    state: str
    remark: str = ""
    folder: Path | None = None
    summary: Summary | None = None
    run: RunPart | None = None
    row: CohortSlide | None = None

    @property
    def score(self) -> str:
        return "" if self.row is None else self.row.score


def find_entries(folder: Path, cohort: Cohort | None = None) -> list[Entry]:
    """Every slide that has a folder in a results folder, was set aside, or is listed by the cohort; by name.

    Raises MissingInputError where there is no such folder, or no slide in it and no cohort; ResultsError
    where it cannot be listed.
    """
    try:
        children = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingInputError(f"{folder.name}: found no such folder, expected one of results") from error
    except OSError as error:
        raise ResultsError(f"{folder.name}: cannot be listed ({error.strerror}): check the folder") from error
    entries = [entry for child in children if (entry := _entry(child)) is not None]
    entries += _set_aside(folder / ASIDE, entries)
    if not entries and cohort is None:
        raise MissingInputError(
            f"{folder.name}: found no results of a slide, expected the folder that was --out of `her2edge "
            "classify` or `watch`, or a slide's own folder in it"
        )
    if cohort is not None:
        entries = _with_rows(entries, cohort)
    return sorted(entries, key=lambda one: (one.name, str(one.folder)))


def _entry(child: Path) -> Entry | None:
    """Of a folder; None for what holds no results."""
    name = shown(from_disk(child.name))
    if child.name == ASIDE or child.name.startswith("."):
        return None
    try:
        if is_link(child) or not child.is_dir():
            return None
        if not any(os.path.lexists(child / one) for one in _LEFTOVERS):
            return None
        if not os.path.lexists(child / RUN):
            why = "the slide is not finished: run her2edge classify or watch again to resume"
            return Entry(name, UNFINISHED, why, child)
        run, summary = read_records(child)
    except (Her2EdgeError, OSError) as error:
        return Entry(name, DAMAGED, str(error) or type(error).__name__, child)
    return Entry(summary.slide.name, DONE, "", child, summary, run)


def _set_aside(folder: Path, entries: list[Entry]) -> Iterator[Entry]:
    """Slides that `watch` does not try again; not those that have results all the same."""
    done = {one.summary.slide.fingerprint for one in entries if one.summary is not None}
    for path in sorted(folder.glob("*.json")):
        try:
            record = read_json(path, _Aside, limit=_LIMIT, expected="a record of `watch`", wrong=ResultsError)
        except (ResultsError, MissingInputError) as error:
            yield Entry(shown(from_disk(path.stem)), SET_ASIDE, str(error))
            continue
        if record.fingerprint not in done:
            yield Entry(shown(record.slide), SET_ASIDE, record.reason)


def _with_rows(entries: list[Entry], cohort: Cohort) -> list[Entry]:
    """Each entry with its row of the cohort, and an entry for each row that has no results.

    A row is of the only results of its slide's name; where a name is that of two slides, of those of the same
    fingerprint. What cannot be told is left without a row, and says so.
    """
    rows: dict[str, list[CohortSlide]] = defaultdict(list)
    named: dict[str, list[Entry]] = defaultdict(list)
    for row in cohort:
        rows[row.name].append(row)
    for entry in entries:
        named[entry.name].append(entry)
    matched: list[Entry] = []
    used: set[int] = set()
    for name, own in named.items():
        pairs = _pairs(own, rows.get(name, []))
        for number, entry in enumerate(own):
            own_row = pairs.get(number)
            if own_row is not None:
                used.add(own_row.row)
                matched.append(_replaced(entry, own_row))
            else:
                said = "several slides have this name: no row of the cohort is used" if rows.get(name) else ""
                matched.append(_replaced(entry, None, said))
    return matched + [
        Entry(row.name, MISSING, "the cohort lists it, and there are no results of it", row=row)
        for row in cohort
        if row.row not in used
    ]


def _pairs(entries: list[Entry], rows: list[CohortSlide]) -> Mapping[int, CohortSlide]:
    """Which row is of which entry, by the entry's place."""
    if len(entries) == 1 and len(rows) == 1:
        return {0: rows[0]}
    prints: dict[str, list[CohortSlide]] = defaultdict(list)
    for row in rows:
        try:
            prints[fingerprint_slide(row.path)].append(row)
        except (SlideReadError, OutputError, OSError):
            continue
    found = {
        number: prints.get(entry.summary.slide.fingerprint, [])
        for number, entry in enumerate(entries)
        if entry.summary is not None
    }
    return {number: own[0] for number, own in found.items() if len(own) == 1}


def _replaced(entry: Entry, row: CohortSlide | None, remark: str = "") -> Entry:
    said = "; ".join(filter(None, (entry.remark, remark)))
    return Entry(entry.name, entry.state, said, entry.folder, entry.summary, entry.run, row)
