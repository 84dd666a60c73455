"""results.csv: one line for each slide of a results folder, for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2edge.listing.entries import Entry
from her2edge.listing.score import Beside, compared
from her2edge.model.classes import DEMO_REMARK
from her2edge.tables import Cell, csv_bytes
from her2edge.text import from_disk
from her2edge.tile import Outcome

_MARK = b"\xef\xbb\xbf"  # Excel takes a CSV for UTF-8 by it
_FIRST = (
    "slide",
    "patient",
    "site",
    "state",
    "status",
    "answer",
    "reasons",
    "regions",
    "score",
    "agreement",
    "tissue_classified",
    "novelty",
    "effective_tiles",
)
_TILES = ("tiles", *(one.value for one in Outcome), "unread", "pooled", "left_out")
_LAST = (
    "fingerprint",
    "model",
    "model_sha256",
    "runtime",
    "her2edge",
    "started",
    "folder",
    "page",
    "remark",
    "notice",
)


@dataclass(frozen=True)
class Line:
    """An entry as people see it. name, folder, page: as shown; patient: empty under a pseudonym.
    regions: that only regions were read, a sentence; empty: the whole slide was."""

    entry: Entry
    name: str
    folder: str
    page: str
    remark: str
    patient: str
    regions: str

    @classmethod
    def of(cls, entry: Entry) -> Line:
        """With all names, and without a page."""
        patient = "" if entry.row is None else entry.row.patient
        folder = "" if entry.folder is None else from_disk(entry.folder.name)
        read = None if entry.summary is None else entry.summary.regions
        return cls(entry, entry.name, folder, "", entry.remark, patient, "" if read is None else read.said())

    @property
    def agreement(self) -> Beside | None:
        summary = self.entry.summary
        return compared(self.entry.score, None if summary is None else summary.answer)


def sheet_bytes(lines: Sequence[Line]) -> bytes:
    """The table; shares are 0..1, an empty cell is not known. Labels of all models stand side by side."""
    labels = list(dict.fromkeys(label for one in lines for label in _labels(one)))
    kinds = [f"{kind} {label}" for label in labels for kind in ("p", "share", "low", "high")]
    columns = (*_FIRST, *kinds, *_TILES, *_LAST)
    formats = dict.fromkeys((*kinds, "tissue_classified", "novelty"), ".4f") | {"effective_tiles": ".1f"}
    return _MARK + csv_bytes(columns, [_row(one, labels) for one in lines], formats)


def _labels(line: Line) -> Sequence[str]:
    summary = line.entry.summary
    return () if summary is None else tuple(summary.answer.shares)


def _row(line: Line, labels: Sequence[str]) -> list[Cell]:
    entry, row, summary = line.entry, line.entry.row, line.entry.summary
    site = "" if row is None else row.site
    head: list[Cell] = [line.name, line.patient or None, site or None, entry.state]
    if summary is None or entry.run is None:
        middle: list[Cell] = [None, None, None, None, entry.score or None, line.agreement, None, None, None]
        rest: list[Cell] = [None] * (4 * len(labels) + len(_TILES) + 6)
        return [*head, *middle, *rest, line.folder or None, line.page or None, line.remark or None, None]
    answer, counts = summary.answer, summary.answer.tiles
    remark = DEMO_REMARK if summary.demo else ""
    said = " or ".join(f"{label}{remark}" for label in answer.labels)
    middle = [
        answer.status.value,
        said or None,
        " ".join(one.code.value for one in answer.reasons) or None,
        line.regions or None,
        entry.score or None,
        line.agreement,
        answer.tissue_classified,
        answer.novelty,
        answer.effective_tiles,
    ]
    chances: list[Cell] = []
    for label in labels:
        share = answer.shares.get(label)
        if share is None or not counts.pooled:
            chances += [None] * 4
        else:
            chances += [answer.probabilities[label], share.share, share.low, share.high]
    outcomes: list[Cell] = [counts.outcomes.get(one.value, 0) for one in Outcome]
    codes = " ".join(f"{why}:{count}" for why, count in counts.left_out.items() if count)
    model = f"{summary.model.name} {summary.model.version}"
    return [
        *head, *middle, *chances, counts.total, *outcomes, counts.unread, counts.pooled, codes or None,
        summary.slide.fingerprint, model, summary.model.sha256, str(summary.runtime),
        entry.run.basis.version, entry.run.started, line.folder or None, line.page or None,
        line.remark or None, summary.notice,
    ]  # fmt: skip
