"""index.html and results.csv: all slides of a results folder in one table, each with its own page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from her2edge.answer import SlideAnswer
from her2edge.classifier import TileClassifier
from her2edge.cohort import Cohort
from her2edge.errors import Her2EdgeError, OptionError, OutputError, RuntimeUnavailable
from her2edge.files import ensure_folder, write_bytes
from her2edge.listing.entries import DONE, Entry, find_entries
from her2edge.listing.score import Beside
from her2edge.listing.sheet import Line, sheet_bytes
from her2edge.model.classes import DEMO_REMARK
from her2edge.model.file import Model
from her2edge.report.own import Models
from her2edge.report.page import Report, write_report
from her2edge.report.pseudonyms import check_no_names, pseudonyms, write_key
from her2edge.report.render import render
from her2edge.report.thumbnail import Thumbnails
from her2edge.report.view import Swatch
from her2edge.report.words import WITHHELD, headline
from her2edge.results.owner import INDEX, SHEET
from her2edge.slide.parts import name_of
from her2edge.text import from_disk, percent
from her2edge.tile import RESEARCH_USE

REASONS = 2  # that the table shows; the page has all

Progress = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class Index:
    """What was written. states: how many slides are in each. problems: what went wrong, a sentence each."""

    path: Path
    files: tuple[Path, ...]
    states: dict[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """A line of the table as the template reads it."""

    line: Line
    thumbnails: Thumbnails
    headline: str
    shares: tuple[tuple[Swatch, str], ...]
    reasons: tuple[str, ...]
    more: int
    tissue: str
    novelty: str
    tiles: str


@dataclass(frozen=True, eq=False)
class Sources:
    """What pages are made with; as `write_index` has them."""

    slides: Path | None
    models: Models
    pseudonym: bool
    out: Path | None


def write_index(
    folder: Path,
    *,
    slides: Path | None = None,
    model: Model | TileClassifier | None = None,
    cohort: Cohort | None = None,
    pseudonym: bool = False,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Index:
    """Make index.html and results.csv of a results folder, and the page of each finished slide.

    model: as in `write_report`. slides: a folder where slides are looked for by name, or the one slide; those
    of the cohort are read where it says they are. cohort: its patients, sites and known scores stand beside
    the answers, and its slides without results are listed. out: where everything goes; None: into the
    results folder, pages into the slides' own. pseudonym: `out` is needed, pages are named by it, patients
    are left out, and which is which is in pseudonyms.csv in the results folder.

    A page that cannot be made costs that page: the line says why. Raises MissingInputError, ResultsError,
    OptionError, RuntimeUnavailable without the extra `report`, OutputError.
    """
    if pseudonym and out is None:
        raise OptionError(
            "found --pseudonym without --out: the results folders are named like the slides, so choose "
            "another folder for the pages (--out)"
        )
    entries = find_entries(folder, cohort)
    sources = Sources(slides, Models(model), pseudonym, out)
    if out is not None:
        ensure_folder(out)
    if pseudonym and out is not None:
        check_no_names(out, INDEX, SHEET)
        entries.sort(key=_fingerprint)
    names = list(pseudonyms(entries)) if pseudonym else [one.name for one in entries]
    if pseudonym:
        write_key(folder, entries, names)  # first: pages without it would be of nobody
    rows, problems, pages = [], [], []
    for number, (entry, name) in enumerate(zip(entries, names, strict=True)):
        if progress is not None:
            progress(number, len(entries))
        report, error = _page(entry, name, sources)
        if report is not None:
            pages.append(report.path)
        if error:
            problems.append(f"{name}: {error}")
        rows.append(_row(entry, name, report, error, folder, sources))
    place = out or folder
    _write(place, rows, pseudonym=pseudonym)
    if progress is not None:
        progress(len(entries), len(entries))
    files = (place / INDEX, place / SHEET, *pages)
    return Index(files[0], files, dict(Counter(one.state for one in entries)), tuple(problems))


def _page(entry: Entry, name: str, sources: Sources) -> tuple[Report | None, str]:
    """The page of a finished slide, and what went wrong: there is none, or not the slide that was given.
    name: as it is shown."""
    if entry.summary is None or entry.folder is None:
        return None, ""
    path = None
    if sources.out is not None:
        path = sources.out / f"{name if sources.pseudonym else entry.folder.name}.html"
    try:
        report = write_report(
            entry.folder,
            slide=_slide_of(entry, sources),
            model=sources.models,
            pseudonym=sources.pseudonym,
            out=path,
        )
    except (OutputError, RuntimeUnavailable):
        raise  # the next page would fare no better
    except Her2EdgeError as error:
        return None, WITHHELD if sources.pseudonym else str(error)
    missing = sources.slides is not None and not report.pictured
    return report, report.left_out[-1] if missing else ""


def _slide_of(entry: Entry, sources: Sources) -> Path | None:
    """Where the slide is to be found: where the cohort has it, else where one looks for slides."""
    row = entry.row
    if row is not None and os.path.exists(row.path):  # noqa: PTH110 - raises nothing
        return row.path
    if sources.slides is None:
        return None if row is None else row.path
    if os.path.isfile(sources.slides) and name_of(sources.slides) != entry.name:  # noqa: PTH113 - raises nothing
        return sources.slides.parent if sources.slides.suffix.lower() == ".dcm" else None  # another's
    return sources.slides


def _fingerprint(entry: Entry) -> str:
    return "" if entry.summary is None else entry.summary.slide.fingerprint


def _row(entry: Entry, name: str, report: Report | None, error: str, folder: Path, sources: Sources) -> Row:
    place = "" if entry.folder is None or sources.pseudonym else from_disk(entry.folder.name)
    why = f"no page: {error}" if error and report is None else error
    own = "the slide is here twice" if entry.twice and sources.pseudonym else entry.remark
    remark = "; ".join(filter(None, (own, why)))
    if sources.pseudonym and entry.summary is None:
        remark = entry.state
    page = "" if report is None else os.path.relpath(report.path, sources.out or folder)
    patient = "" if entry.row is None or sources.pseudonym else entry.row.patient
    line = Line(
        entry,
        name,
        place,
        quote(from_disk(page).replace(os.sep, "/")),
        remark,
        patient,
        _regions(entry, sources),
    )
    small = Thumbnails() if report is None else report.thumbnails
    if entry.summary is None:
        return Row(line, small, "", (), (), 0, "", "", "")
    answer = entry.summary.answer
    counts = answer.tiles
    return Row(
        line=line,
        thumbnails=small,
        headline=headline(answer, DEMO_REMARK if entry.summary.demo else ""),
        shares=() if report is None else _shares(report, answer),
        reasons=tuple(one.sentence for one in answer.reasons[:REASONS]),
        more=max(0, len(answer.reasons) - REASONS),
        tissue="" if answer.tissue_classified is None else percent(answer.tissue_classified),
        novelty="not known" if answer.novelty is None else percent(answer.novelty),
        tiles=f"{counts.pooled:,} of {counts.total:,}",
    )


def _regions(entry: Entry, sources: Sources) -> str:
    if entry.summary is None or entry.summary.regions is None:
        return ""
    return entry.summary.regions.said(file=not sources.pseudonym)


def _shares(report: Report, answer: SlideAnswer) -> tuple[tuple[Swatch, str], ...]:
    """The classes that tiles have, the same colours as on the small map."""
    return tuple(
        (report.swatches[label], percent(one.share)) for label, one in answer.shares.items() if one.share
    )


def _write(place: Path, rows: list[Row], *, pseudonym: bool) -> None:
    lines = [row.line for row in rows]
    page = render("index.html", **_values(rows, place, pseudonym=pseudonym))
    write_bytes(place / SHEET, sheet_bytes(lines))
    write_bytes(place / INDEX, page)


def _values(rows: list[Row], place: Path, *, pseudonym: bool) -> dict[str, Any]:
    """What the template reads."""
    entries = [row.line.entry for row in rows]
    summaries = [one.summary for one in entries if one.summary is not None]
    states = Counter(one.state for one in entries)
    agreement = Counter(row.line.agreement for row in rows)
    scored = sum(count for word, count in agreement.items() if word)
    answers = Counter(row.headline for row in rows if row.headline)
    return {
        "title": "slides" if pseudonym else from_disk(place.absolute().name),
        "notices": list(dict.fromkeys(one.notice for one in summaries)) or [RESEARCH_USE],
        "demo": any(one.demo for one in summaries),
        "rows": rows,
        "states": [(state, states[state]) for state in sorted(states, key=lambda one: (one != DONE, one))],
        "answers": sorted(answers.items()),
        "done": DONE,
        "scored": scored,
        "agreement": [(word.value, agreement[word]) for word in Beside if agreement[word]],
        "thumbnails": any(row.thumbnails.slide or row.thumbnails.map for row in rows),
        "sheet": SHEET,
    }
