"""collect: one table of a cohort, and by name what is missing, failed, or there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2edge.cohort import Cohort
from her2edge.files import write_bytes
from her2edge.listing.entries import DONE, Entry, find_entries
from her2edge.listing.sheet import Line, sheet_bytes
from her2edge.results.owner import SHEET
from her2edge.shards.plan import planned_slides
from her2edge.tile import Outcome


@dataclass(frozen=True, eq=False)
class Collected:
    """path: of the table, a line for each slide of the list and each with results that is not in it.

    states: how many slides are in each. problems: what keeps the cohort from being complete, a sentence each.
    others: slides with results that the list does not have.
    """

    path: Path
    states: dict[str, int]
    problems: tuple[str, ...]
    others: tuple[str, ...]


def collect(folder: Path, cohort: Cohort | None = None) -> Collected:
    """Write results.csv of a cohort's results folder; nothing is computed, no slide is decoded.

    cohort: the list; None: the one that the folder was filled by. Raises MissingInputError, ResultsError,
    CohortError, OutputError.
    """
    cohort = planned_slides(folder) if cohort is None else cohort
    entries = find_entries(folder, cohort)
    write_bytes(folder / SHEET, sheet_bytes([Line.of(one) for one in entries]))
    others = tuple(one.name for one in entries if one.row is None and one.state == DONE and not one.twice)
    problems = (*_of_slides(entries), *_of_all(entries))
    return Collected(folder / SHEET, dict(Counter(one.state for one in entries)), problems, others)


def _of_slides(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.state != DONE:
            yield f"{entry.name}: {entry.state}: {entry.remark}"
        elif entry.twice:
            yield f"{entry.name}: duplicate: {entry.twice}"
        failed = 0 if entry.summary is None else entry.summary.answer.tiles.outcomes[Outcome.FAILED]
        if failed:
            yield (
                f"{entry.name}: {failed} tiles failed: `her2edge classify` with the same options reads them "
                "again"
            )


def _of_all(entries: Sequence[Entry]) -> Iterator[str]:
    """What must be one and the same for slides to be counted together."""
    models = Counter(
        f"{one.summary.model.name} {one.summary.model.sha256[:12]}" for one in entries if one.summary
    )
    versions = Counter(one.run.basis.version for one in entries if one.run)
    for what, counts in (("models", models), ("versions of her2edge", versions)):
        if len(counts) > 1:
            listed = ", ".join(f"{count} of {name}" for name, count in counts.most_common())
            yield f"results of several {what}: {listed}"
