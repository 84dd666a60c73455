"""Slides that a pathologist scored, beside what her2edge answered: a list of slides and a results folder.

The one reader of the two together, for whoever calibrates or checks a model. Nothing is written; no slide
need be there.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from her2edge.answer import SlideAnswer
from her2edge.cohort import Cohort, CohortSlide
from her2edge.errors import Her2EdgeError, MissingInputError, OutputError
from her2edge.files import look
from her2edge.model.protocol import SlideProtocol
from her2edge.results.finished import Stored, read_stored
from her2edge.results.owner import RUN, named_in
from her2edge.results.summary import Summary, unnamed
from her2edge.slide import fingerprint_slide
from her2edge.text import shown

__all__ = ["Problem", "Scored", "ScoredSlide", "SlideResults", "label_of_score", "read_scored"]

_RESULTS = "a folder of results, as `her2edge classify --out` writes it"


class Problem(StrEnum):
    """Why a row of the list says nothing of the model. Stable words."""

    NO_RESULTS = "no_results"
    SEVERAL_RESULTS = "several_results"
    UNREADABLE_RESULTS = "unreadable_results"
    NO_SCORE = "no_score"
    UNKNOWN_SCORE = "unknown_score"


@dataclass(frozen=True)
class SlideResults:
    """What a slide's folder holds.

    answer: its labels plain, as in Python. summary: all of summary.json.
    """

    folder: Path
    summary: Summary
    answer: SlideAnswer

    @property
    def model_sha256(self) -> str:
        """Of the model file that computed, 64 hexadecimal digits."""
        return self.summary.model.sha256

    @property
    def protocol(self) -> SlideProtocol:
        """How the slide was read and scored."""
        return self.answer.protocol

    @property
    def scanner(self) -> str | None:
        """Maker and model; None where the slide does not state them."""
        return self.summary.slide.scanner

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's, in their order."""
        return tuple(self.answer.probabilities)


@dataclass(frozen=True)
class ScoredSlide:
    """A row of the list. problem, why: what keeps it from being used, in a word and a sentence; else None.

    label: the model's label that the score stands for; None without results or a known score.
    """

    row: CohortSlide
    label: str | None = None
    results: SlideResults | None = None
    problem: Problem | None = None
    why: str | None = None

    @property
    def name(self) -> str:
        return self.row.name


@dataclass(frozen=True)
class Scored:
    """slides: one for each row, in the order of the list. others: slides with results that no row names."""

    slides: tuple[ScoredSlide, ...]
    others: tuple[str, ...]

    @property
    def usable(self) -> tuple[ScoredSlide, ...]:
        """Those with results and a label."""
        return tuple(slide for slide in self.slides if slide.problem is None)


def read_scored(cohort: Cohort, results: str | os.PathLike[str]) -> Scored:
    """Every row of a list with its results, or why it has none.

    cohort: `read_cohort(path, must_exist=False)`. results: the folder that `classify --out` wrote.
    A row's results are those of the slide of its name; where rows or results share one, those of the row's
    own file, by its fingerprint, if that is there.

    Raises MissingInputError where the folder is not there or holds no results, OutputError where it cannot be
    read. A slide's own results that cannot be read are its `problem`.
    """
    folder = Path(results)
    by_name: dict[str, list[Path]] = {}
    for one in _folders(folder):
        name = named_in(one)
        by_name.setdefault("" if name is None else name, []).append(one)
    unnamed_folders = by_name.pop("", [])
    if not by_name:
        raise MissingInputError(
            f"{folder.name}: found no results of a slide, expected {_RESULTS}: classify "
            "slides first, or check the path"
        )
    rows = Counter(row.name for row in cohort)
    slides = tuple(_scored(row, by_name.get(row.name, []), rows[row.name] > 1) for row in cohort)
    others = [name for name in by_name if name not in rows] + [one.name for one in unnamed_folders]
    return Scored(slides, tuple(map(shown, sorted(others))))


def _folders(folder: Path) -> Iterator[Path]:
    """Folders that hold a run.json, by name."""
    if look(folder, _RESULTS, OutputError) != "folder":
        raise MissingInputError(f"{folder.name}: found no such folder, expected {_RESULTS}: check the path")
    if os.path.lexists(folder / RUN):
        raise MissingInputError(
            f"{folder.name}: found the results of one slide, expected {_RESULTS}: name the folder above it"
        )
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        raise OutputError(f"{folder.name}: cannot be read ({error.strerror}), expected {_RESULTS}") from error
    for name in names:
        if os.path.lexists(folder / name / RUN):
            yield folder / name


def _scored(row: CohortSlide, folders: Sequence[Path], shared: bool) -> ScoredSlide:
    """shared: another row has this name, so that it does not tell whose results these are."""
    where = f"{row.name} (row {row.row})"
    if not folders:
        why = f"{where}: found no finished results, expected those of `her2edge classify`: classify it"
        return ScoredSlide(row, problem=Problem.NO_RESULTS, why=why)
    read: list[Stored] = []
    for folder in folders:
        try:
            read.append(read_stored(folder))
        except Her2EdgeError as error:
            why = f"{where}: {error}"
            return ScoredSlide(row, problem=Problem.UNREADABLE_RESULTS, why=why)
    if shared or len(read) > 1:
        own = _of_this_file(row, read)
        if own == []:
            why = f"{where}: found results of other slides of this name only: classify it"
            return ScoredSlide(row, problem=Problem.NO_RESULTS, why=why)
        if own is None or len(own) > 1:
            why = (
                f"{where}: found {'two rows' if shared else f'{len(folders)} folders of results'} of this "
                f"name, expected one ({_names(folders)}): without the slide, it is not known which is right"
            )
            return ScoredSlide(row, problem=Problem.SEVERAL_RESULTS, why=why)
        read = own
    return _labelled(row, _results(read[0]), where)


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(shown(folder.name) for folder in folders[:3])


def _of_this_file(row: CohortSlide, read: list[Stored]) -> list[Stored] | None:
    """Those of the row's own file; None where that is not there to be asked."""
    try:
        own = fingerprint_slide(row.path)
    except Her2EdgeError:
        return None
    return [one for one in read if one.summary.slide.fingerprint == own]


def _results(stored: Stored) -> SlideResults:
    return SlideResults(
        folder=stored.folder,
        summary=stored.summary,
        answer=unnamed(stored.summary.answer),
    )


def _labelled(row: CohortSlide, results: SlideResults, where: str) -> ScoredSlide:
    label = label_of_score(row.score, results.labels)
    if label is not None:
        return ScoredSlide(row, label, results)
    expected = f"expected one of {', '.join(results.labels)}"
    if not row.score:
        why = f"{where}: found no score, {expected}"
        return ScoredSlide(row, results=results, problem=Problem.NO_SCORE, why=why)
    why = f"{where}: found the score {row.score!r}, {expected}"
    return ScoredSlide(row, results=results, problem=Problem.UNKNOWN_SCORE, why=why)


def label_of_score(score: str, labels: Sequence[str]) -> str | None:
    """The one of `labels` that a score stands for, None where it is none of them.

    Case, forms of a letter, spaces and a leading "HER2", "IHC" or "score" do not matter: `HER2: 3+`. A score
    that is a part of a label stands for it, `1+` for `0/1+`; `1`, `2`, `3` are `1+`, `2+`, `3+`.
    """
    folded = _folded(score)
    if not folded:
        return None
    for label in labels:
        if _folded(label) == folded:
            return label
    parts = {folded, f"{folded}+"} if folded in ("1", "2", "3") else {folded}
    holding = [label for label in labels if parts & set(_folded(label).split("/"))]
    return holding[0] if len(holding) == 1 else None


def _folded(text: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"^(her2|ihc|score|[:=_/-])+", "", text)
