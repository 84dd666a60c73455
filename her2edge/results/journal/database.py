"""Checksummed records in one SQLite file: the only file that touches SQLite.

Write-ahead log and synchronous=FULL: what was committed outlives a power cut, and a log cut anywhere is a
prefix of the commits. The file is locked for one process from the first look on, which is also why the log
needs no shared memory (https://sqlite.org/wal.html, "Use of WAL Without Shared-Memory"): network shares have
none. Where a file system takes no log, SQLite's rollback journal (DELETE) does the same with more writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from her2edge.errors import Her2EdgeError, NotOursError, OutputError, OutputWriteError, TakenError
from her2edge.results.owner import is_link

APPLICATION = 0x48324A4C  # "H2JL": so that no other SQLite file is taken for a journal
COMPANIONS = ("-wal", "-shm", "-journal")  # first of all to be removed: a new file must not meet an old log
_TABLES = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL)",
    "CREATE TABLE results (n INTEGER PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL)",
)
# SQLITE_ERROR: a table is missing, or is another one.
_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TAKEN = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_PLACE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class DamagedError(OutputWriteError):
    """The file is no journal, or not as it was written; what: was found."""

    def __init__(self, what: str) -> None:
        super().__init__(f"journal: found {what}: run again, which begins the slide afresh")
        self.what = what


class Database:
    """Facts by name and results by number, from 0 on; opening it checks every byte that was committed.

    connect: instead of `sqlite3.connect`. schema: version of the tables, 0 where nothing was begun.

    Raises DamagedError; NotOursError for a link; OutputError where it cannot be opened, TakenError where
    another process has it; OutputWriteError.
    """

    def __init__(self, path: Path, connect: Callable[..., sqlite3.Connection] | None = None) -> None:
        self.path = path
        for name in ("", *COMPANIONS):
            _check_plain(path.with_name(path.name + name))
        with _our_errors():
            self._connection = (connect or sqlite3.connect)(path, timeout=0, isolation_level=None)
        try:
            with _our_errors():
                self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        # fullfsync: without it, macOS says "written" of what is still in the disk's own memory.
        for pragma in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "fullfsync=ON"):
            self._pragma(pragma)
        self._connection.execute("BEGIN EXCLUSIVE")  # the lock stays
        self._connection.execute("ROLLBACK")
        self.schema = int(self._pragma("user_version"))
        application = self._pragma("application_id")
        if not self.schema and not self.path.stat().st_size:
            return  # just created
        if self._pragma("integrity_check(1)") != "ok" or application != APPLICATION:
            raise DamagedError("a damaged or foreign file")
        self._log_ahead()

    def _log_ahead(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # it stays at DELETE then
            self._pragma("journal_mode=WAL")

    def _pragma(self, text: str) -> int | str:
        row = self._connection.execute(f"PRAGMA {text}").fetchone()
        return 0 if row is None else row[0]

    def begin(self, schema: int, name: str, value: bytes) -> None:
        """Make the tables, with a first fact: all of it or nothing."""
        with self._transaction():
            for table in _TABLES:
                self._connection.execute(table)
            self._pragma(f"application_id={APPLICATION}")
            self._pragma(f"user_version={schema}")
            self._put_fact(name, value)
        self.schema = schema
        self._log_ahead()  # only now, so that a log that is lost never takes the tables along

    def put_fact(self, name: str, value: bytes) -> None:
        """Commit a fact."""
        with self._transaction():
            self._put_fact(name, value)

    def _put_fact(self, name: str, value: bytes) -> None:
        row = (name, value, zlib.crc32(value))
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", row)

    def fact(self, name: str) -> bytes | None:
        """The value of a fact, None where there is none."""
        query = "SELECT 0, value, crc FROM facts WHERE name = ?"
        return next((value for _, value in self._checked(query, name)), None)

    def append(self, results: list[tuple[int, bytes]]) -> None:
        """Commit numbered results; the same ones may come again."""
        # A list, not a generator: no signal comes between its rows.
        rows = [(n, value, zlib.crc32(value)) for n, value in results]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)

    def cut(self, count: int) -> None:
        """Commit that there are no more than the first `count` results."""
        with self._transaction():
            self._connection.execute("DELETE FROM results WHERE n >= ?", (count,))

    def result(self, number: int) -> bytes:
        """The value of this number."""
        query = "SELECT n, value, crc FROM results WHERE n = ?"
        for _, value in self._checked(query, number):
            return value
        raise DamagedError(f"no result {number}")

    def results(self) -> Iterator[bytes]:
        """Values by number."""
        for expected, (n, value) in enumerate(self._checked("SELECT n, value, crc FROM results ORDER BY n")):
            if n != expected:
                raise DamagedError(f"result {n}, expected {expected}")
            yield value

    def _checked(self, query: str, *values: str | int) -> Iterator[tuple[int, bytes]]:
        with _our_errors():
            for key, value, crc in self._connection.execute(query, values):
                if not isinstance(value, bytes) or zlib.crc32(value) != crc:
                    raise DamagedError("a record that differs from its checksum")
                yield key, value

    def close(self) -> None:
        """Give the file back; what is in the log goes into it, where there is room."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _our_errors():
            try:
                if self._connection.in_transaction:  # of one who was interrupted on the way out of here
                    self._connection.execute("ROLLBACK")
                self._connection.execute("BEGIN")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _check_plain(path: Path) -> None:
    """SQLite would follow a link, and write where it leads; or wait for a pipe."""
    if is_link(path):
        raise NotOursError(
            f"journal: cannot be created (found {path.name} to be a link, which could lead anywhere): remove "
            "it, or choose another --out"
        )
    if path.exists() and not path.is_file():
        raise OutputError(
            f"journal: cannot be created (found {path.name} to be a folder or device): remove it, or choose "
            "another --out"
        )


@contextlib.contextmanager
def _our_errors() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.ProgrammingError:  # a bug: another thread, a closed journal
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGED:
            raise DamagedError(f"a damaged file ({error})") from error
        if code in _TAKEN:
            raise TakenError(
                "journal: found another her2edge at work on this slide: wait for it, or choose another --out"
            ) from error
        if code in _NO_PLACE:
            raise OutputError(f"journal: cannot be created ({error}): choose another --out") from error
        raise OutputWriteError(
            f"journal: writing failed ({error}); free some space or choose another place, and run again: "
            "what was computed until now is kept"
        ) from error
    except OSError as error:  # a share that went away is the output's fault, not the slide's
        if isinstance(error, Her2EdgeError):
            raise
        raise OutputError(f"journal: cannot be read ({error.strerror}): check the folder") from error
