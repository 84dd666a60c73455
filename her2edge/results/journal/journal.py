"""One slide's results on their way to its files: kept as they come, resumed after a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

from her2edge.errors import OutputError
from her2edge.results.journal import record
from her2edge.results.journal.database import DamagedError, Database
from her2edge.results.journal.record import SlideStain
from her2edge.slide import Evidence, GlassMap
from her2edge.tile import TileResult

_Fact = TypeVar("_Fact")

# Results per commit, and the most that kill -9 or a power cut can cost: a second's on a workstation, half a
# minute's on a slow board. Costs 5 us a tile on a cloud disk (benchmarks/journal.py), where inference takes
# 13,000 and more; a memory card that needs 50 ms for a commit, 800.
BATCH = 64


class Journal:
    """Results of one slide, in order, on the disk; a context manager, for one thread and one process.

    batch: results per commit. resumed: how many results it held when it was opened.

    Iterating reads the results, as often as one likes, without holding them. Leaving the `with` block keeps
    everything for the next run. What fails in writing raises OutputWriteError.
    """

    def __init__(self, database: Database, batch: int = BATCH) -> None:
        self._database, self._batch = database, batch
        self.resumed = self._count = sum(1 for _ in self)
        self._pending: list[tuple[int, bytes]] = []

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, OutputError):
                # who is told to end ends, though the disk be full: nothing raised here takes its place
                interrupted = error is not None and not isinstance(error, Exception)
                with contextlib.suppress(*[OutputError] * interrupted):
                    self.commit()
        finally:
            self.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[TileResult]:
        """Every result that was committed."""
        return map(_unpacked, self._database.results())

    def at(self, number: int) -> TileResult:
        """The committed result of this number, from 0 on."""
        return _unpacked(self._database.result(number))

    def add(self, result: TileResult) -> None:
        """Keep the next result; every `batch` of them are committed."""
        self._pending.append((self._count, record.pack_result(result)))
        self._count += 1
        if len(self._pending) >= self._batch:
            self.commit()

    def replace(self, number: int, result: TileResult) -> None:
        """Keep another result in the place of the one of this number; committed as in `add`."""
        self._pending.append((number, record.pack_result(result)))
        if len(self._pending) >= self._batch:
            self.commit()

    def cut(self, count: int) -> None:
        """Forget every result after the first `count`, at once and for good; what is pending is committed."""
        self.commit()
        if count < self._count:
            self._database.cut(count)
        self.resumed, self._count = min(self.resumed, count), min(self._count, count)

    def commit(self) -> None:
        """Everything so far is on the disk when this returns."""
        if self._pending:
            self._database.append(self._pending)
            self._pending = []

    @property
    def stain(self) -> SlideStain | None:
        """The whole slide's stain, made before its first result; None: not yet."""
        return self._fact("stain", record.unpack_stain)

    @stain.setter
    def stain(self, stain: SlideStain) -> None:
        self._database.put_fact("stain", record.pack_stain(stain))

    @property
    def evidence(self) -> Evidence | None:
        """How the slide looked when its first result was made; None in a journal of before November 2026."""
        return self._fact("evidence", record.unpack_evidence)

    @evidence.setter
    def evidence(self, evidence: Evidence) -> None:
        self._database.put_fact("evidence", record.pack_evidence(evidence))

    def glass(self, rows: int, columns: int) -> GlassMap | None:
        """Which places of the grid are not decoded, found before the first result; None: not yet."""
        return self._fact("glass", lambda data: GlassMap.from_bytes(data, rows, columns))

    def put_glass(self, glass: GlassMap) -> None:
        """Keep which places are not decoded: a run that goes on leaves out the same ones."""
        self._database.put_fact("glass", glass.to_bytes())

    def _fact(self, name: str, unpack: Callable[[bytes], _Fact]) -> _Fact | None:
        data = self._database.fact(name)
        try:
            return None if data is None else unpack(data)
        except ValueError as error:
            raise DamagedError(f"no {name} ({error})") from error

    def close(self) -> None:
        """Give the file back, without what was not committed."""
        self._pending = []
        self._database.close()


def _unpacked(data: bytes) -> TileResult:
    try:
        return record.unpack_result(data)
    except ValueError as error:
        raise DamagedError(f"no result ({error})") from error
