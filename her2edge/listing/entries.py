"""The slides of a results folder, one entry each: the finished ones, and the others with the reason.

Nothing is guessed from a slide's place in a list: which results are whose is a matter of names, and where
names do not tell, of fingerprints.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from her2edge.attempts.records import ASIDE, KNOWN, RECORDS, Begun
from her2edge.cohort import Cohort, CohortSlide
from her2edge.errors import Her2EdgeError, MissingInputError, OutputError, ResultsError, SlideReadError
from her2edge.files import read_json
from her2edge.results.folder import safe_name
from her2edge.results.journal import NAME as JOURNAL
from her2edge.results.owner import RUN, SUMMARY, is_link
from her2edge.results.read_back import RunPart, read_records
from her2edge.results.summary import Summary
from her2edge.slide.fingerprint import fingerprint_slide
from her2edge.text import from_disk, shown

DONE, UNFINISHED, DAMAGED, SET_ASIDE, MISSING = "done", "unfinished", "damaged", "set aside", "no results"
FAILED, DUPLICATE = "failed", "duplicate"
_LEFTOVERS = (RUN, SUMMARY, "tiles.csv", JOURNAL)
_LIMIT = 1 << 20  # bytes


class _Aside(msgspec.Struct, frozen=True):
    """What is needed of failed/<slide>.json."""

    slide: str
    reason: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Entry:
    """A slide. name: as its results have it; of an unfinished one its folder's, where no list tells another.
    state: one of the seven above.

    remark: why there are no results, or what is odd; folder: of the results, None where there is none.
    summary, run: of finished ones. row: of the cohort; None where it is in none. twice: that it is here a
    second time, or has results twice; also in the remark.
    """

    name: str
    state: str
    remark: str = ""
    folder: Path | None = None
    summary: Summary | None = None
    run: RunPart | None = None
    row: CohortSlide | None = None
    twice: str = ""

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
        raise MissingInputError(
            f"{folder.name}: found no such folder, expected the --out folder of "
            "`her2edge classify`: check the path"
        ) from error
    except OSError as error:
        raise ResultsError(f"{folder.name}: cannot be listed ({error.strerror}): check the folder") from error
    entries = [entry for child in children if (entry := _entry(child)) is not None]
    entries += _set_aside(folder / ASIDE, entries)
    entries += _tried(folder / RECORDS, entries)
    if not entries and cohort is None:
        raise MissingInputError(
            f"{folder.name}: found no results of a slide, expected the --out folder of `her2edge classify` "
            f"or `watch`, or the folder of one slide in it: classify slides first, or check the path"
        )
    if cohort is not None:
        entries = _with_rows(entries, cohort)
    return _with_twins(sorted(entries, key=lambda one: (one.name, str(one.folder))))


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


def _tried(folder: Path, entries: Sequence[Entry]) -> Iterator[Entry]:
    """Slides that were begun, and left nothing but the count of it."""
    there = [one.folder.name for one in entries if one.folder is not None]
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith(KNOWN) or any(
            path.stem == one or path.stem.startswith(f"{one}-") for one in there
        ):
            continue
        try:
            record = read_json(path, Begun, limit=_LIMIT, expected="a count of tries", wrong=ResultsError)
        except (ResultsError, MissingInputError):
            continue  # as `Attempts.count`: none
        if record.attempts:
            why = record.reason or "started but not finished: its process ended first"
            times = "once" if record.attempts == 1 else f"{record.attempts} times"
            yield Entry(shown(record.slide or from_disk(path.stem)), FAILED, f"tried {times}: {why}")


def _with_twins(entries: list[Entry]) -> list[Entry]:
    """Finished slides of the same bytes as one before, under another name: they say so."""
    first: dict[str, Entry] = {}
    said = []
    for entry in entries:
        if entry.summary is not None:
            twin = first.setdefault(entry.summary.slide.fingerprint, entry)
            if twin.name != entry.name:
                entry = _twice(entry, f"the same slide as {twin.name}, byte for byte, under another name")
        said.append(entry)
    return said


def _with_rows(entries: list[Entry], cohort: Cohort) -> list[Entry]:
    """Each entry with its row of the cohort, and an entry for each row that has no results.

    A row is of the only results of its slide's name; where a name is that of two slides, of those of the same
    fingerprint. What cannot be told is left without a row, and says so.
    """
    rows: dict[str, list[CohortSlide]] = defaultdict(list)
    named: dict[str, list[Entry]] = defaultdict(list)
    for row in cohort:
        rows[row.name].append(row)
    names = _names_of_folders(rows)
    for entry in entries:
        named[_name(entry, names)].append(entry)
    matched: list[Entry] = []
    used: set[int] = set()
    others: dict[int, CohortSlide] = {}
    for name, own in named.items():
        pairs = _pairs(own, rows.get(name, []))
        for number, entry in enumerate(own):
            its = pairs.get(number, ())
            if its:
                used.add(its[0].row)
                others |= {row.row: its[0] for row in its[1:]}
                matched.append(replace(entry, name=name, row=its[0]))
            elif rows.get(name):
                why = "several slides have this name: no row of the cohort is used"
                matched.append(_twice(entry, why))
            else:
                matched.append(entry)
    return matched + [_without_results(row, others.get(row.row)) for row in cohort if row.row not in used]


def _without_results(row: CohortSlide, twin: CohortSlide | None) -> Entry:
    if twin is None:
        return Entry(row.name, MISSING, "the cohort lists it, but it has no results", row=row)
    why = f"row {row.row} of the cohort is the same slide as row {twin.row}, byte for byte"
    return _twice(Entry(row.name, DUPLICATE, row=row), why)


def _names_of_folders(rows: Mapping[str, Sequence[CohortSlide]]) -> Mapping[str, str]:
    """The names of slides by what their folders' names begin with, where that tells them apart."""
    counts = Counter(safe_name(name) for name in rows)
    return {safe_name(name): name for name in rows if counts[safe_name(name)] == 1}


def _name(entry: Entry, names: Mapping[str, str]) -> str:
    """The slide's, where its results do not say it but its folder does."""
    if entry.summary is not None or entry.folder is None:
        return entry.name
    return names.get(from_disk(entry.folder.name).rpartition("-")[0], entry.name)


def _pairs(entries: list[Entry], rows: list[CohortSlide]) -> Mapping[int, list[CohortSlide]]:
    """Which rows are of which entry, by the entry's place; of two rows of the same bytes the first counts."""
    if len(entries) == 1 and len(rows) == 1:
        return {0: rows}
    prints: dict[str, list[CohortSlide]] = defaultdict(list)
    for row in rows:
        try:
            prints[fingerprint_slide(row.path)].append(row)
        except (SlideReadError, OutputError, OSError):
            continue
    return {
        number: prints.get(entry.summary.slide.fingerprint, [])
        for number, entry in enumerate(entries)
        if entry.summary is not None
    }


def _twice(entry: Entry, why: str) -> Entry:
    said = "; ".join(filter(None, (entry.remark, why)))
    return replace(entry, remark=said, twice=why)
