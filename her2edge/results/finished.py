"""Whether a slide's folder holds what a run would write, so that it need not run."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from her2edge.answer import SlideSummary
from her2edge.errors import OutputWriteError
from her2edge.results.provenance import Provenance
from her2edge.tile import Outcome

RUN = "run.json"  # the last file to be written: a folder that holds it is complete


class _Run(msgspec.Struct):
    """What is needed of run.json."""

    basis: Provenance
    files: dict[str, str]


class _Summary(msgspec.Struct):
    """What is needed of summary.json."""

    summary: SlideSummary


@dataclass(frozen=True)
class Finished:
    """A complete folder: the slide's answer and its files."""

    summary: SlideSummary
    files: tuple[Path, ...]


def find_finished(folder: Path, basis: Provenance, min_tissue_tiles: int) -> Finished | None:
    """What a run of the same basis left, each file as run.json states it; None where anything differs.

    Nor does a slide with failed tiles count: whoever runs it again wants them tried again.
    """
    with contextlib.suppress(OSError, ValueError, LookupError, RecursionError):
        text = (folder / RUN).read_text("utf-8")  # msgspec ignores what it is not asked for
        run = msgspec.json.decode(text, type=_Run)
        if run.basis != basis or any(Path(name).name != name for name in run.files):
            return None
        if not {"tiles.csv", "summary.json"} <= run.files.keys():
            return None
        paths = [folder / name for name in run.files]
        summary = msgspec.json.decode((folder / "summary.json").read_bytes(), type=_Summary).summary
        if (
            hash_files(paths) == run.files
            and summary.min_tissue_tiles == min_tissue_tiles
            and not summary.outcomes[Outcome.FAILED]
        ):
            return Finished(summary, (*paths, folder / RUN))
    return None


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
