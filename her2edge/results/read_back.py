"""A finished results folder, read back: checked against run.json, and against itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from her2edge.answer.votes import kept_out
from her2edge.errors import MissingInputError, ResultsError
from her2edge.files import parse_json, read_input
from her2edge.model.trust import Signer
from her2edge.results.owner import RUN, SUMMARY
from her2edge.results.provenance import Provenance
from her2edge.results.summary import Summary, unnamed
from her2edge.results.table import read_table
from her2edge.tile import Outcome, TileResult

TABLE = "tiles.csv"
_RECORD, _TABLE = 16 << 20, 1 << 30  # bytes, at most
_AGAIN = "classify the slide again"


class RunPart(msgspec.Struct, frozen=True, kw_only=True):
    """What others need of run.json. Host and command stay there: they may hold names."""

    started: str
    self_test: str
    versions: dict[str, str]
    basis: Provenance
    files: dict[str, str]
    signer: Signer | None = None


class _Version(msgspec.Struct, frozen=True):
    schema_version: int | None = None


@dataclass(frozen=True, eq=False)
class Results:
    """A finished folder. tiles: row by row, as tiles.csv has them."""

    folder: Path
    summary: Summary
    run: RunPart
    tiles: tuple[TileResult, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's, in the order of severity."""
        return tuple(self.summary.answer.shares)

    @property
    def name(self) -> str:
        return self.summary.slide.name

    @cached_property
    def pooled(self) -> list[int]:
        """Numbers of the tiles that vote."""
        return [number for number, one in enumerate(self.tiles) if one.pooled]


def read_results(folder: Path) -> Results:
    """Read a finished folder of results.

    Raises MissingInputError where there is none; ResultsError for one that is unfinished, damaged, changed by
    hand, or of another version.
    """
    run, summary = read_records(folder)
    data = _own_bytes(folder, TABLE, run, _TABLE)
    labels = tuple(summary.answer.shares)
    try:
        tiles = tuple(read_table(data, labels))
    except ValueError as error:
        raise ResultsError(
            f"{folder.name}: found a {TABLE} of another version ({error}), expected that of her2edge "
            f"{run.basis.version}: {_AGAIN}"
        ) from error
    _check_counts(folder, summary, tiles)
    return Results(folder, summary, run, tiles)


def read_records(folder: Path) -> tuple[RunPart, Summary]:
    """run.json and summary.json, held against each other; raises as `read_results`."""
    run = _run(folder)
    data = _own_bytes(folder, SUMMARY, run, _RECORD)
    try:
        version = parse_json(data, _Version).schema_version
        if version != 2:
            raise ResultsError(
                f"{folder.name}: found a {SUMMARY} of schema {version or 1}, expected 2: "
                + ("install a newer her2edge" if (version or 1) > 2 else f"{_AGAIN} with this version")
            )
        summary = parse_json(data, Summary)
    except ValueError as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(f"{folder.name}: found a damaged {SUMMARY} ({error}): {_AGAIN}") from error
    basis, slide = run.basis, summary.slide
    if (basis.fingerprint, basis.model) != (slide.fingerprint, summary.model.sha256):
        raise ResultsError(f"{folder.name}: found {RUN} and {SUMMARY} of two runs: {_AGAIN}")
    return run, msgspec.structs.replace(summary, answer=unnamed(summary.answer))


def _run(folder: Path) -> RunPart:
    try:
        data = read_input(folder / RUN, _RECORD, "a record of her2edge", ResultsError)
    except MissingInputError as error:
        if any((folder / name).exists() for name in (TABLE, SUMMARY)):
            raise ResultsError(
                f"{folder.name}: found no {RUN}, so the slide is not finished: run `her2edge classify` again "
                f"to resume"
            ) from error
        raise MissingInputError(
            f"{folder.name}: found no {RUN}, expected a folder of results, as `her2edge classify` makes it"
        ) from error
    try:
        return parse_json(data, RunPart)
    except ValueError as error:
        raise ResultsError(
            f"{folder.name}: found a {RUN} that is damaged or of another version ({error}): {_AGAIN}"
        ) from error


def _own_bytes(folder: Path, name: str, run: RunPart, limit: int) -> bytes:
    """A file's bytes; raises ResultsError where they are not those that run.json states."""
    try:
        data = read_input(folder / name, limit, "a file of results", ResultsError)
    except MissingInputError as error:
        raise ResultsError(f"{folder.name}: found no {name}, which {RUN} lists: {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != run.files.get(name):
        raise ResultsError(
            f"{folder.name}: found a {name} that was changed since {RUN} was written: {_AGAIN}"
        )
    return data


def _check_counts(folder: Path, summary: Summary, tiles: tuple[TileResult, ...]) -> None:
    """Raise ResultsError unless every tile of tiles.csv is accounted for in summary.json."""
    stated = summary.answer.tiles
    outcomes = Counter(one.outcome for one in tiles)
    left_out = Counter(kept_out(one) for one in tiles if one.outcome is Outcome.CLASSIFIED)
    pooled = left_out.pop(None, 0)
    agree = (
        all(outcomes[Outcome(name)] == count for name, count in stated.outcomes.items())
        and stated.total == len(tiles) + stated.unread
        and (summary.regions is None or summary.regions.places == stated.total)
        and stated.pooled == pooled
        and {str(why): count for why, count in left_out.items()}
        == {k: n for k, n in stated.left_out.items() if n}
    )
    if not agree:
        raise ResultsError(f"{folder.name}: found other tiles in {TABLE} than {SUMMARY} counts: {_AGAIN}")
