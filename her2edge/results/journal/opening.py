"""Opening a slide's journal: resumed, or set aside and begun afresh; removing it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from her2edge.errors import NotOursError, OutputError
from her2edge.files import forget
from her2edge.results.journal import record
from her2edge.results.journal.database import COMPANIONS, DamagedError, Database
from her2edge.results.journal.journal import BATCH, Journal
from her2edge.results.owner import another
from her2edge.results.provenance import Provenance, differences
from her2edge.slide import Evidence

NAME, FORMER, DAMAGED = ".journal.sqlite3", ".journal-former.sqlite3", ".journal-damaged.sqlite3"
SCHEMA = 2  # 1: results without quality, novelty and whether they vote

_log = logging.getLogger("her2edge")


def open_journal(
    folder: Path,
    basis: Provenance,
    *,
    fresh: bool = False,
    batch: int = BATCH,
    database: Callable[[Path], Database] = Database,
    unchanged: Callable[[Evidence | None], bool] = lambda _: True,
) -> Journal:
    """The journal in a slide's folder: resumed where its basis is the same, else a new one.

    One of another basis is kept as .journal-former.sqlite3 until the slide is complete, a damaged one as
    .journal-damaged.sqlite3, both with a warning that says why. fresh: begin anew whatever is there.
    batch: results per commit. database: opens the file. unchanged: whether the slide is what it was when it
    looked so.

    Raises NotOursError where it is another slide's, or a link; OutputError where it cannot be
    created, TakenError where another process is at work on it; OutputWriteError.
    """
    aside = why = ""
    try:
        journal = _open(database(folder / NAME), basis, batch)
        if not fresh:
            return _checked(journal, unchanged)
        journal.close()
    except DamagedError as error:
        aside, why = DAMAGED, f"found a damaged journal ({error.what})"
    except _OtherBasisError as error:
        aside, why = FORMER, str(error)
    if fresh:
        discard(folder)
    else:
        _set_aside(folder, aside)
        _log.warning(
            "%s: %s; it is kept as %s, and the slide starts from the beginning", basis.slide, why, aside
        )
    return _open(database(folder / NAME), basis, batch)


def discard(folder: Path, basis: Provenance | None = None) -> None:
    """Remove the journal and the one of a former run; with a basis, only where the journal is of that."""
    if basis is not None:
        if not os.path.exists(folder / NAME):  # noqa: PTH110 - raises nothing
            return
        try:
            _open(Database(folder / NAME), basis).close()
        except (DamagedError, NotOursError, _OtherBasisError):
            return
    for name in (NAME, FORMER):
        forget(folder, *(name + companion for companion in COMPANIONS), name)


def discard_former(folder: Path) -> None:
    """Remove the journal of a former run that was set aside, and keep this one's."""
    forget(folder, *(FORMER + companion for companion in COMPANIONS), FORMER)


class _OtherBasisError(Exception):
    """In what a journal differs from the run that opens it."""


def _open(database: Database, basis: Provenance, batch: int = BATCH) -> Journal:
    try:
        if database.schema == 0:
            database.begin(SCHEMA, "basis", record.pack_basis(basis))
        reasons = _reasons(database, basis)
        if reasons:
            raise _OtherBasisError(
                f"found a journal of another run ({'; '.join(reasons)}); results of two runs are never mixed"
            )
        journal = Journal(database, batch)
        if len(journal) > basis.tiles:
            raise DamagedError(f"{len(journal)} results, expected at most {basis.tiles}")
    except BaseException:
        database.close()
        raise
    return journal


def _checked(journal: Journal, unchanged: Callable[[Evidence | None], bool]) -> Journal:
    """The journal, closed where it is of a slide that was written to since."""
    try:
        if not unchanged(journal.evidence):
            raise _OtherBasisError(
                "found a journal of the slide as it was before its file was changed or copied; results of "
                "the two are never mixed"
            )
    except BaseException:
        journal.close()
        raise
    return journal


def _reasons(database: Database, basis: Provenance) -> list[str]:
    if database.schema != SCHEMA:
        return [f"schema: found {database.schema}, expected {SCHEMA}"]
    data = database.fact("basis")
    try:
        former = record.unpack_basis(data or b"")
    except ValueError as error:
        raise DamagedError(f"no basis ({error})") from error
    if (former.slide, former.fingerprint) != (basis.slide, basis.fingerprint):
        raise NotOursError(another(database.path.parent, former.slide, former.fingerprint, basis))
    return differences(former, basis)


def _set_aside(folder: Path, name: str) -> None:
    """Under another name, the log first: a file without its log is an older state, a log alone is nothing."""
    forget(folder, *(name + companion for companion in COMPANIONS), name)
    try:
        for companion in (*COMPANIONS, ""):
            if (folder / (NAME + companion)).exists():
                (folder / (NAME + companion)).replace(folder / (name + companion))
    except OSError as error:
        raise OutputError(
            f"{NAME}: cannot be moved away ({error.strerror}): remove it, or choose another --out"
        ) from error
