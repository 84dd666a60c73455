"""A journal gives back what it was given, whatever happened to its file since, or says that it cannot."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge import Outcome, TileResult
from her2edge.errors import OutputError, OutputWriteError
from her2edge.results.former import says_what_is_kept
from her2edge.results.journal import Journal, SlideStain, discard
from her2edge.results.journal import open_journal as open_with
from her2edge.results.journal.database import Database
from her2edge.results.journal.opening import DAMAGED, FORMER, NAME
from her2edge.results.journal.record import pack_result, unpack_result
from her2edge.results.provenance import Provenance
from her2edge.runtime import RuntimeUse
from her2edge.stain import StainFit
from her2edge.stain.profiles import MACENKO
from her2edge.tile import Background, Seconds

BASIS = Provenance(
    slide="a.svs", fingerprint="ab" * 32, mpp=0.2527, step=1 / 3, columns=50, rows=10, tiles=500,
    model="cd" * 32, runtime=RuntimeUse("litert", "2.3.0"), architecture="x86_64", version="0.1.0",
    stain={"mode": "given", "profile": "torchstain", "fit": MACENKO.to_dict()},
)  # fmt: skip
BATCH = 5

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)
texts = st.text(max_size=40)
some_results = st.builds(
    TileResult,
    slide=texts, x=floats, y=floats, span=st.tuples(floats, floats), outcome=st.sampled_from(Outcome),
    probabilities=st.none() | st.lists(st.floats(width=32), min_size=3, max_size=3).map(np.float32),
    label=st.none() | texts, confidence=st.none() | floats, tissue_fraction=st.none() | floats,
    stain_status=st.none() | texts, stain_source=st.none() | texts, error=st.none() | texts,
    seconds=st.builds(Seconds, floats, floats, floats),
)  # fmt: skip


def bits(result: TileResult) -> tuple[Any, ...]:
    """All of a result, floats by their bits."""
    chances = result.probabilities
    plain = dataclasses.replace(result, probabilities=None)
    return repr(plain), None if chances is None else (chances.dtype, chances.shape, chances.tobytes())


def result(number: int) -> TileResult:
    chances = np.random.default_rng(number).dirichlet(np.ones(3)).astype(np.float32)
    return TileResult(
        "a.svs", number / 3, -0.0, (1 / 3, 1 / 3), Outcome.CLASSIFIED, chances, "2+", float(chances[1]), 0.9,
        "ok", "tile", glass_fraction=1 / 3, background=[None, *Background][number % 4],
        quality=(("blurred", "compressed"), ())[number % 2], novelty=number / 7, pooled=number % 2 == 1,
        seconds=Seconds(0.001, 0.002, number * 1e-3, 1 / 3),
    )  # fmt: skip


open_journal = functools.partial(open_with, batch=BATCH)


def fill(folder: Path, count: int, basis: Provenance = BASIS) -> None:
    with open_journal(folder, basis) as journal:
        for number in range(len(journal), count):
            journal.add(result(number))


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of journals are opened, and each waits for the disk."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@given(some_results)
@settings(deadline=None, max_examples=50)
def test_a_result_comes_back_with_every_bit(written: TileResult) -> None:
    read = unpack_result(pack_result(written))
    assert bits(read) == bits(written)
    assert type(read.outcome) is Outcome
    assert math.copysign(1, read.x) == math.copysign(1, written.x)


def test_results_come_back_in_order_after_the_file_was_closed(tmp_path: Path) -> None:
    fill(tmp_path, 23)
    with open_journal(tmp_path, BASIS) as journal:
        assert journal.resumed == len(journal) == 23
        assert [bits(one) for one in journal] == [bits(result(number)) for number in range(23)]


def test_one_result_is_read_by_its_number_and_what_is_none_is_damage(tmp_path: Path) -> None:
    fill(tmp_path, 23)
    with open_journal(tmp_path, BASIS) as journal:
        for number in (22, 0, 7):
            assert bits(journal.at(number)) == bits(result(number))
        with pytest.raises(OutputWriteError, match="found no result 23"):
            journal.at(23)


@pytest.mark.parametrize("count", [0, 1, 12, 22, 23, 40])
def test_results_after_a_cut_are_gone_for_good_and_others_follow(tmp_path: Path, count: int) -> None:
    left = min(count, 23)
    with open_journal(tmp_path, BASIS) as journal:
        for number in range(23):  # three of them are pending
            journal.add(result(number))
        journal.cut(count)
        assert len(journal) == left
    with open_journal(tmp_path, BASIS) as journal:
        assert journal.resumed == left
        journal.add(result(100))
    with open_journal(tmp_path, BASIS) as journal:
        expected = [*range(left), 100]
        assert [bits(one) for one in journal] == [bits(result(number)) for number in expected]
        journal.cut(1)
        assert journal.resumed == len(journal) == 1


def test_a_slides_stain_comes_back_bit_for_bit(tmp_path: Path) -> None:
    fit = StainFit(MACENKO.stain_matrix / 3, MACENKO.max_concentration * math.pi)
    with open_journal(tmp_path, BASIS) as journal:
        assert journal.stain is None
        journal.stain = SlideStain(fit)
    with open_journal(tmp_path, BASIS) as journal:
        assert journal.stain is not None
        assert journal.stain.fit is not None
        assert journal.stain.fit.stain_matrix.tobytes() == fit.stain_matrix.tobytes()
        assert journal.stain.fit.max_concentration.tobytes() == fit.max_concentration.tobytes()
        journal.stain = SlideStain(reason="found 0 pixels")
    with open_journal(tmp_path, BASIS) as journal:
        assert journal.stain == SlideStain(reason="found 0 pixels")


def test_a_journal_of_before_evidence_was_kept_opens_with_its_stain(tmp_path: Path) -> None:
    """A stain had two places then."""
    fill(tmp_path, 7)
    with contextlib.closing(Database(tmp_path / NAME)) as database:
        database.put_fact("stain", msgspec.msgpack.encode((MACENKO.to_dict(), None)))
    asked: list[object] = []
    with open_journal(tmp_path, BASIS, unchanged=lambda kept: asked.append(kept) is None) as journal:
        assert (len(journal), asked, journal.evidence) == (7, [None], None)
        assert journal.stain is not None
        assert journal.stain.agrees(SlideStain(MACENKO))
        assert journal.stain.unreadable == 0


def test_a_journal_of_a_slide_that_was_written_to_is_kept_aside(tmp_path: Path, caplog: Any) -> None:
    fill(tmp_path, 7)
    with open_journal(tmp_path, BASIS, unchanged=lambda _: False) as journal:
        assert len(journal) == 0
    assert (tmp_path / FORMER).exists()
    assert "before its file was changed" in caplog.text


@pytest.mark.parametrize("name", ["stain", "evidence"])
def test_a_fact_that_is_none_is_damage(tmp_path: Path, name: str) -> None:
    """Its checksum is right: somebody wrote it so."""
    fill(tmp_path, 7)
    with contextlib.closing(Database(tmp_path / NAME)) as database:
        database.put_fact(name, b"\x93\x01\x02\x03")
    with open_journal(tmp_path, BASIS) as journal:
        if name == "evidence":
            assert len(journal) == 0
            assert (tmp_path / DAMAGED).exists()
        else:
            with pytest.raises(OutputError, match="found no stain"):
                _ = journal.stain


@pytest.mark.parametrize(
    ("field", "other", "words"),
    [
        (
            "runtime",
            RuntimeUse("openvino", "2026.4"),
            "runtime: found litert 2.3.0, expected openvino 2026.4",
        ),
        (
            "runtime",
            RuntimeUse("litert", "2.3.0", "bf16"),
            "found litert 2.3.0, expected litert 2.3.0 in bf16",
        ),
        ("model", "ef" * 32, "model: found cdcdcdcdcdcd, expected efefefefefef"),
        ("version", "0.2.0", "her2edge version: found 0.1.0, expected 0.2.0"),
        ("architecture", "aarch64", "architecture: found x86_64, expected aarch64"),
        ("mpp", 0.5, "um per pixel: found 0.2527, expected 0.5"),
        ("stain", {"mode": "off"}, r"stain: found given \([0-9a-f]{12}\), expected off"),
        ("tiles", 400, "tiles: found 500, expected 400"),
    ],
)
def test_a_journal_of_another_basis_is_kept_aside_and_what_differs_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, field: str, other: object, words: str
) -> None:
    fill(tmp_path, 12)
    before = (tmp_path / NAME).read_bytes()
    caplog.set_level(logging.WARNING, "her2edge")
    with open_journal(tmp_path, msgspec.structs.replace(BASIS, **{field: other})) as journal:
        assert len(journal) == 0
    (message,) = [record.getMessage() for record in caplog.records]
    assert re.search(words, message), message
    assert FORMER in message
    assert (tmp_path / FORMER).read_bytes() == before


def test_a_stain_fit_that_differs_in_its_last_bit_is_another_basis(tmp_path: Path) -> None:
    fill(tmp_path, 12)
    matrix = MACENKO.stain_matrix.copy()
    matrix[0, 0] = np.nextafter(matrix[0, 0], 1)
    fit = StainFit(matrix, MACENKO.max_concentration)
    other = msgspec.structs.replace(BASIS, stain=BASIS.stain | {"fit": fit.to_dict()})
    with open_journal(tmp_path, other) as journal:
        assert len(journal) == 0


def test_a_second_process_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    with open_journal(tmp_path, BASIS) as journal:
        for fresh in (False, True):
            with pytest.raises(OutputError, match="found another her2edge at work"):
                open_journal(tmp_path, BASIS, fresh=fresh)
        journal.add(result(0))
    with open_journal(tmp_path, BASIS) as journal:
        assert len(journal) == 1


def test_fresh_forgets_results_and_stain_of_any_basis(tmp_path: Path) -> None:
    for basis in (BASIS, msgspec.structs.replace(BASIS, model="ef" * 32)):
        with open_journal(tmp_path, BASIS) as journal:
            journal.stain = SlideStain(reason="none")
        fill(tmp_path, 7)
        with open_journal(tmp_path, basis, fresh=True) as journal:
            assert (len(journal), journal.stain) == (0, None)
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
        discard(tmp_path)
        assert not list(tmp_path.iterdir())


def torn(folder: Path, count: int, extra: int = 0) -> tuple[bytes, bytes]:
    """File and log of a journal that nobody closed, with `count` results and `extra` never committed."""
    journal = open_journal(folder, BASIS)
    for number in range(count + extra):
        journal.add(result(number))
    file, log = ((folder / (NAME + end)).read_bytes() for end in ("", "-wal"))
    journal.close()
    discard(folder)
    return file, log


def reopened(folder: Path, file: bytes, log: bytes) -> list[TileResult]:
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(file)
    (folder / (NAME + "-wal")).write_bytes(log)
    with open_journal(folder, BASIS) as journal:
        return list(journal)


def test_a_log_cut_anywhere_is_a_prefix_of_the_commits(
    quick: Path, caplog: Any, record_property: Any
) -> None:
    file, log = torn(quick, 8 * BATCH)
    frame = 24 + 4096
    near = {32 + k * frame + d for k in range(len(log) // frame + 1) for d in (-1, 0, 1, 24, 25)}
    offsets = sorted({0, 1, 31, 32, 33, *near, *range(0, len(log), max(1, len(log) // 200)), len(log)})
    offsets = [offset for offset in offsets if 0 <= offset <= len(log)]
    assert len(offsets) >= 200
    seen = set()
    for offset in offsets:
        results = reopened(quick / "cut", file, log[:offset])
        assert len(results) % BATCH == 0
        assert [bits(one) for one in results] == [bits(result(n)) for n in range(len(results))]
        seen.add(len(results))
        shutil.rmtree(quick / "cut")
    assert seen == set(range(0, 8 * BATCH + 1, BATCH))
    assert not caplog.records, "a torn log is no damage"
    record_property("figure", f"log cut at {len(offsets)} places")


def test_a_log_with_a_flipped_bit_is_a_prefix_of_the_commits(quick: Path, caplog: Any) -> None:
    file, log = torn(quick, 4 * BATCH)
    for offset in range(0, len(log), len(log) // 50):
        bad = bytearray(log)
        bad[offset] ^= 4
        results = reopened(quick / "cut", file, bytes(bad))
        assert [bits(one) for one in results] == [bits(result(n)) for n in range(len(results))]
        assert len(results) % BATCH == 0
        shutil.rmtree(quick / "cut")
    assert not caplog.records


def test_what_was_never_committed_is_at_most_a_batch(tmp_path: Path) -> None:
    file, log = torn(tmp_path, 3 * BATCH, extra=BATCH - 1)
    assert len(reopened(tmp_path / "cut", file, log)) == 3 * BATCH


def test_a_file_cut_anywhere_is_set_aside_and_begun_afresh(quick: Path, caplog: Any) -> None:
    fill(quick, 80)
    whole = (quick / NAME).read_bytes()
    assert len(whole) >= 8 * 4096
    for offset in range(1, len(whole), len(whole) // 40):
        folder = quick / f"cut-{offset}"
        folder.mkdir()
        (folder / NAME).write_bytes(whole[:offset])
        caplog.clear()
        with open_journal(folder, BASIS) as journal:
            assert len(journal) == 0
        assert (folder / DAMAGED).read_bytes() == whole[:offset]
        (message,) = [record.getMessage() for record in caplog.records]
        assert DAMAGED in message
        fill(folder, 12)
        with open_journal(folder, BASIS) as journal:
            assert len(journal) == 12


def test_a_flipped_bit_is_never_read_as_a_result(quick: Path) -> None:
    """Set aside, or in a place that holds nothing: each result that is read is one that was written."""
    fill(quick, 80)
    whole = (quick / NAME).read_bytes()
    aside = 0
    offsets = range(0, len(whole), 331)
    for offset in offsets:
        folder = quick / "flipped"
        folder.mkdir()
        bad = bytearray(whole)
        bad[offset] ^= 16
        (folder / NAME).write_bytes(bad)
        with open_journal(folder, BASIS) as journal:
            assert [bits(one) for one in journal] == [bits(result(n)) for n in range(len(journal))]
            assert len(journal) in (0, 80)
        aside += (folder / DAMAGED).exists()
        shutil.rmtree(folder)
    assert aside > len(offsets) // 2


@pytest.mark.parametrize("content", [b"not a database, not at all\n" * 100, b"\0" * 5000])
def test_a_foreign_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with open_journal(tmp_path, BASIS) as journal:
        assert len(journal) == 0
    assert (tmp_path / DAMAGED).read_bytes() == content


@pytest.mark.parametrize("schema", [1, 3])
def test_a_foreign_database_and_another_schema_are_set_aside(
    tmp_path: Path, caplog: Any, schema: int
) -> None:
    """Of schema 1 are results that nobody asked whether they vote."""
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as foreign:
        foreign.execute("CREATE TABLE results (mine)")
    fill(tmp_path, 3)
    assert (tmp_path / DAMAGED).exists()
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as later:
        later.execute(f"PRAGMA user_version={schema}")
    fill(tmp_path, 3)
    assert f"schema: found {schema}, expected 2" in caplog.records[-1].getMessage()


def test_a_file_that_was_only_created_is_a_new_journal(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / NAME).write_bytes(b"")
    fill(tmp_path, 3)
    assert not caplog.records
    with open_journal(tmp_path, BASIS) as journal:
        assert len(journal) == 3


class NoLog(sqlite3.Connection):
    """A file system on which the write-ahead log does not work."""

    def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
        if "journal_mode=WAL" in sql:
            raise sqlite3.OperationalError("locking protocol")
        return super().execute(sql, *more)


def test_where_there_is_no_log_a_rollback_journal_does_the_same(tmp_path: Path) -> None:
    connect = functools.partial(sqlite3.connect, factory=NoLog)
    journal = open_journal(tmp_path, BASIS, database=functools.partial(Database, connect=connect))
    for number in range(3 * BATCH + 1):
        journal.add(result(number))
    assert not (tmp_path / (NAME + "-wal")).exists()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob(f"{NAME}*"):
        shutil.copy(path, copy)
    journal.close()
    with open_journal(copy, BASIS) as journal:
        assert [bits(one) for one in journal] == [bits(result(n)) for n in range(3 * BATCH)]


def test_every_batch_is_on_the_disk_when_it_is_said_to_be(tmp_path: Path) -> None:
    """synchronous=FULL in both modes: SQLite's own default in some builds is less."""
    with open_journal(tmp_path, BASIS) as journal:
        assert journal._database._pragma("synchronous") == 2
        assert journal._database._pragma("journal_mode") == "wal"


def test_a_folder_that_cannot_be_written_to_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be created"):
        open_journal(tmp_path / "missing", BASIS)
    (tmp_path / NAME).mkdir()
    with pytest.raises(OutputError, match="cannot be created"):
        open_journal(tmp_path, BASIS)


def test_iterating_holds_one_result_at_a_time(tmp_path: Path) -> None:
    import tracemalloc

    fill(tmp_path, 500)
    with open_journal(tmp_path, BASIS) as journal:
        tracemalloc.start()
        count = sum(1 for _ in journal)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 500
    assert most < 30_000, "500 results take more than 300,000 bytes"


class InterruptedOnce(Database):
    """Ctrl-C when the first results have just been committed."""

    met = False

    def append(self, results: list[tuple[int, bytes]]) -> None:
        super().append(results)
        if not self.met:
            self.met = True
            raise KeyboardInterrupt


def test_an_interrupt_between_a_commit_and_its_end_repeats_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with open_journal(tmp_path, BASIS, database=InterruptedOnce) as journal:
            for number in range(12):
                journal.add(result(number))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with open_journal(tmp_path, BASIS) as journal:
        assert [bits(one) for one in journal] == [bits(result(n)) for n in range(BATCH)]


def test_a_journal_is_opened_once_more_after_each_of_many_ends(tmp_path: Path) -> None:
    for count in range(1, 30, 3):
        fill(tmp_path, count)
    with open_journal(tmp_path, BASIS) as journal:
        assert isinstance(journal, Journal)
        assert [bits(one) for one in journal] == [bits(result(n)) for n in range(28)]


@pytest.mark.parametrize("end", [SystemExit(143), KeyboardInterrupt()])
def test_who_is_told_to_end_ends_though_the_disk_is_full(tmp_path: Path, end: BaseException) -> None:
    """An error of the disk in its place, and a watcher would go on until it is killed."""

    class Full(Database):
        def append(self, results: list[tuple[int, bytes]]) -> None:
            raise OutputWriteError("disk full")

    journal = open_journal(tmp_path, BASIS, database=Full)
    journal.add(result(0))
    with pytest.raises(type(end)), journal, says_what_is_kept(journal, BASIS):
        raise end
