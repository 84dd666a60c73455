"""Whether a slide's folder holds what a run would write, so that it need not run."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from her2edge.answer import SlideAnswer
from her2edge.errors import OutputError, OutputWriteError
from her2edge.files import parse_json, write_json
from her2edge.results.owner import RUN, SUMMARY, read_record
from her2edge.results.provenance import Provenance
from her2edge.results.slide_info import SlideInfo
from her2edge.results.summary import Summary, unnamed
from her2edge.slide import Evidence
from her2edge.text import first_line
from her2edge.tile import Outcome


class _Run(msgspec.Struct):
    """What is needed of run.json."""

    basis: Provenance
    files: dict[str, str]
    evidence: Evidence | None = None


class _Summary(msgspec.Struct):
    """What is needed of summary.json; one of schema 1 has no such answer, and its slide is read again."""

    answer: SlideAnswer
    schema_version: Literal[2]
    slide: SlideInfo


@dataclass(frozen=True)
class Asked:
    """What an answer depends on beside the results of its tiles. site: None: not said; site_counts: it is
    held against the sites of a calibration."""

    min_tissue_tiles: int
    site: str | None = None
    site_counts: bool = False

    def answered(self, summary: _Summary) -> bool:
        """Whether this is what a summary answers."""
        same = summary.answer.protocol.min_tissue_tiles == self.min_tissue_tiles
        return same and (summary.slide.site == self.site or not self.site_counts)


@dataclass(frozen=True)
class Stored:
    """A complete folder, whatever model and options it is of: run.json's record and all of summary.json."""

    folder: Path
    basis: Provenance
    summary: Summary


def read_stored(folder: Path) -> Stored:
    """What a finished run left, each file as its run.json states it.

    Raises OutputError where a file is missing, is not the one that run.json states, or cannot be read, and
    where an older her2edge wrote it.
    """
    again = f"expected what `her2edge classify` wrote to {folder.name}: classify the slide again"
    try:
        run = parse_json(_bytes(folder / RUN), _Run)
        names = sorted(run.files)
        if any(Path(name).name != name for name in names) or not {"tiles.csv", SUMMARY} <= run.files.keys():
            raise OutputError(f"found a {RUN} that does not name its files, {again}")
        now = hash_files(folder / name for name in names)
        changed = [name for name in names if now[name] != run.files[name]]
        if changed:
            raise OutputError(f"found {', '.join(changed)} changed since {RUN} was written, {again}")
        summary = parse_json(_bytes(folder / SUMMARY), Summary)
    except ValueError as error:
        raise OutputError(f"found results that cannot be read ({first_line(error)}), {again}") from error
    if (summary.slide.name, summary.model.sha256) != (run.basis.slide, run.basis.model):
        raise OutputError(f"found {RUN} and {SUMMARY} of two runs, {again}")
    return Stored(folder, run.basis, summary)


@dataclass(frozen=True)
class Finished:
    """A complete folder: the slide's answer and its files; evidence: of the slide when it was read."""

    folder: Path
    answer: SlideAnswer
    files: tuple[Path, ...]
    evidence: Evidence | None


def find_finished(folder: Path, basis: Provenance, asked: Asked) -> Finished | None:
    """What a run of the same basis left, each file as run.json states it; None where anything differs.
    Nothing is written.

    Nor does a slide with failed tiles count: whoever runs it again wants them tried again.
    """
    with contextlib.suppress(OSError, ValueError, LookupError):
        run = parse_json(_bytes(folder / RUN), _Run)  # what is not asked for is ignored
        if run.basis != basis or any(Path(name).name != name for name in run.files):
            return None
        if not {"tiles.csv", SUMMARY} <= run.files.keys():
            return None
        paths = [folder / name for name in run.files]
        summary = parse_json(_bytes(folder / SUMMARY), _Summary)
        answer = unnamed(summary.answer)
        if (
            hash_files(paths) == run.files
            and asked.answered(summary)
            and not answer.tiles.outcomes[Outcome.FAILED]
        ):
            return Finished(folder, answer, (*paths, folder / RUN), run.evidence)
    return None


def outdated(former: Finished, evidence: Evidence) -> bool:
    """Whether a large slide looks otherwise than run.json has it."""
    kept = former.evidence
    return kept is not None and kept.sampled and kept.looks != evidence.looks


def keep_evidence(former: Finished, evidence: Evidence) -> None:
    """Write down how a large slide looks now: its bytes have been read and are the same. For one process at a
    time; raises OutputError."""
    if former.evidence is None or not outdated(former, evidence):
        return
    now = msgspec.structs.replace(evidence, sha256=former.evidence.sha256)
    path = former.folder / RUN
    with contextlib.suppress(ValueError):
        write_json(path, parse_json(_bytes(path), dict[str, Any]) | {"evidence": now})


def _bytes(path: Path) -> bytes:
    return read_record(path) or b""


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256, hex, by name; raises OutputWriteError for a file that cannot be read back."""
    hashes = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise OutputWriteError(
                f"{path.name}: cannot be read back ({error.strerror}): check the disk, and run again"
            ) from error
    return hashes
