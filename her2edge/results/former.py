"""What a former run left of a slide: complete results, a journal to resume, tiles that failed."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from her2edge.alone import alone_in
from her2edge.errors import NotOursError, OutputError
from her2edge.results.finished import Asked, Finished, find_finished, keep_evidence, outdated
from her2edge.results.folder import former_folder, slide_folder
from her2edge.results.journal import NAME, Journal, discard, open_journal
from her2edge.results.owner import RUN, check_owner, is_link
from her2edge.results.provenance import Provenance
from her2edge.results.slide_run import SlideOptions
from her2edge.slide import Evidence, SlideReader
from her2edge.slide.fingerprint import same_content
from her2edge.tile import Outcome

_log = logging.getLogger("her2edge")


def find_former(out: Path, slide: SlideReader, basis: Provenance, asked: Asked) -> Finished | None:
    """Complete results of this slide as it is now, where they are written or were until November 2026."""
    for place in (slide_folder, former_folder):
        folder = place(out, basis.slide, basis.fingerprint)
        former = None if is_link(folder) else find_finished(folder, basis, asked)
        if former is None or not same_content(former.evidence, slide.evidence, slide.hash_whole):
            continue
        if place is slide_folder:
            _tidy(former, basis, slide.evidence)
        return former
    return None


def _tidy(former: Finished, basis: Provenance, evidence: Evidence) -> None:
    """Remove the journal that a killed run left, and write down how the slide looks now. What cannot be
    written, or another process is at, is done next time."""
    if os.path.exists(former.folder / NAME) or outdated(former, evidence):  # noqa: PTH110 - raises nothing
        with contextlib.suppress(OutputError), alone_in(former.folder):
            discard(former.folder, basis)
            keep_evidence(former, evidence)


@contextlib.contextmanager
def slide_journal(
    folder: Path, basis: Provenance, options: SlideOptions, slide: SlideReader, closed: contextlib.ExitStack
) -> Iterator[Journal]:
    """The slide's journal, and with it the folder to ourselves; it says what it keeps when interrupted."""

    def unchanged(kept: Evidence | None) -> bool:
        return same_content(kept, slide.evidence, slide.hash_whole)

    with open_journal(
        folder, basis, fresh=options.fresh, batch=options.batch, unchanged=unchanged
    ) as journal:
        try:
            check_owner(folder, basis)  # again: another slide's run may have ended since
        except NotOursError:
            closed.callback(discard, folder)
            raise
        kept = journal.evidence
        if kept is None or kept.looks != slide.evidence.looks:
            whole = None if kept is None else kept.sha256
            journal.evidence = msgspec.structs.replace(slide.evidence, sha256=whole)
        with says_what_is_kept(journal, basis):
            yield journal


def failed_tiles(journal: Journal, folder: Path, basis: Provenance) -> list[int]:
    """Numbers of the tiles to be tried again: the failed ones of a run that ended, and was written."""
    every = basis.tiles if basis.reading is None else 0  # what is settled ends anywhere
    if len(journal) < every or not os.path.isfile(folder / RUN):  # noqa: PTH113 - raises nothing
        return []
    return [number for number, result in enumerate(journal) if result.outcome is Outcome.FAILED]


@contextlib.contextmanager
def says_what_is_kept(journal: Journal, basis: Provenance) -> Iterator[None]:
    """Where a run is interrupted or terminated, how far it came and how to resume it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        try:
            journal.commit()
        except OutputError as error:  # must not take the interruption's place
            _log.warning("%s: %s", basis.slide, error)
        else:
            _log.info(
                "%s: %d of %d tiles are kept: run again to resume after them",
                basis.slide, len(journal), basis.tiles,
            )  # fmt: skip
        raise
