"""A watched folder when disk, share, machine or another program are in the way: no slide pays for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from watch_bench import STILL, Bench

from her2edge.attempts import Attempts
from her2edge.errors import (
    Her2EdgeError,
    OptionError,
    OutputError,
    OutputWriteError,
    RuntimeUnavailable,
    SlideError,
    SlideReadError,
    TakenError,
)
from her2edge.results import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge.watch import AllWait, SetAside
from her2edge.watch.inbox import Inbox


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("error", [OutputWriteError("disk full"), OutputError("read-only")])
def test_a_full_disk_is_nobodys_fault_everything_waits_and_then_goes_on(
    bench: Bench, error: Her2EdgeError
) -> None:
    full = True
    bench.fail = lambda _name: error if full else None
    for name in ("a.svs", "b.svs", "c.svs"):
        bench.put(name, name.encode())
    bench.wait(5000)
    assert 3 < len(bench.worked) < 10  # waits longer and longer
    assert bench.watcher.waiting
    full = False
    bench.worked.clear()
    bench.wait(5000)
    assert sorted(bench.worked) == ["a.svs", "b.svs", "c.svs"]
    assert bench.set_aside() == []


def test_a_slide_whose_results_cannot_be_written_holds_up_no_other_for_ever(bench: Bench) -> None:
    """Somebody ran `classify` as another user: the folder is that one's, and the disk is not full."""
    bench.fail = lambda name: OutputError("not ours") if name == "a.svs" else None
    for name in ("a.svs", "b.svs", "c.svs"):
        bench.put(name, name.encode())
    bench.wait(300)
    assert {"b.svs", "c.svs"} <= set(bench.worked)
    bench.wait(20_000)
    assert bench.worked.count("a.svs") < 20
    bench.fail = lambda _name: None
    bench.wait(4000)
    assert not bench.watcher.waiting
    assert bench.set_aside() == []


def test_a_slide_that_was_set_aside_is_tried_anew_when_its_record_is_removed_also_while_watching(
    bench: Bench,
) -> None:
    bench.fail = lambda name: SlideError(f"{name}: no um per pixel")
    bench.put("a.svs")
    bench.wait(60)
    bench.start()
    bench.wait(60)
    assert bench.worked == ["a.svs"]
    bench.fail = lambda _name: None
    next((bench.out / "failed").iterdir()).unlink()
    bench.wait(STILL)
    assert bench.worked == ["a.svs", "a.svs"]
    assert bench.set_aside() == []


def test_a_file_that_nobody_may_read_is_set_aside_in_the_end_and_done_when_one_may(tmp_path: Path) -> None:
    """Else `--once` never ends."""

    def refused(path: Path) -> str:
        raise SlideReadError(f"{path.name}: cannot be read (Permission denied)")

    bench = Bench(tmp_path, around={"fingerprint": refused}, retries=2)
    bench.put("a.svs")
    bench.fail = lambda name: SlideReadError(f"{name}: cannot be read (Permission denied)")
    bench.wait(600)
    (record,) = bench.set_aside()
    assert (record["attempts"], record["reason"]) == (3, "a.svs: cannot be read (Permission denied)")
    assert not bench.watcher.waiting
    bench.start()
    bench.wait(600)
    assert len(bench.worked) == 3
    bench.around = {}
    bench.fail = lambda _name: None
    bench.start()
    bench.wait(2 * STILL)
    assert len(bench.worked) == 4


@pytest.mark.parametrize("error", [RuntimeUnavailable("no OpenSlide"), OptionError("mpp 99")])
def test_what_is_wrong_for_every_slide_sets_none_aside(bench: Bench, error: Her2EdgeError) -> None:
    bench.fail = lambda _name: error
    bench.put("a.svs")
    for _ in range(10):
        with pytest.raises(type(error)):
            bench.wait(2 * STILL)
        bench.start()
    bench.fail = lambda _name: None
    bench.wait(2 * STILL)
    assert bench.worked[-1] == "a.svs"
    assert bench.set_aside() == []


def test_a_slide_that_classify_is_at_work_on_makes_no_other_wait(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=0)
    bench.fail = lambda name: TakenError("another her2edge") if name == "a.svs" else None
    bench.put("a.svs")
    bench.put("b.svs", b"b")
    bench.wait(STILL)
    assert bench.worked == ["a.svs", "b.svs"]
    bench.wait(300)
    bench.fail = lambda _name: None
    bench.wait(60)
    assert not bench.watcher.waiting
    assert bench.set_aside() == []


def test_a_reader_of_the_answers_that_has_gone_costs_no_slide(bench: Bench) -> None:
    """As in `her2edge watch | head`."""

    def gone(_name: str) -> None:
        raise BrokenPipeError

    bench.done = gone
    bench.put("a.svs")
    with pytest.raises(BrokenPipeError):
        bench.wait(2 * STILL)
    assert bench.set_aside() == []
    bench.start()
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
def test_what_the_machine_lacks_for_a_moment_is_tried_again(bench: Bench, error: Exception) -> None:
    bench.fail = lambda _name: error
    bench.put("a.svs")
    bench.wait(2 * STILL)
    bench.fail = lambda _name: None
    bench.wait(60)
    assert bench.worked == ["a.svs", "a.svs"]
    assert not bench.watcher.waiting


def test_a_disk_that_fills_in_the_middle_of_a_slide_counts_against_none(tmp_path: Path) -> None:
    """Not one byte more can be written then, not even that the attempt does not count."""
    full = False

    class Disk(Attempts):
        def begin(self) -> int:
            nonlocal full
            full = False
            return super().begin()

        def _write(self, attempts: int) -> int:
            if full:
                raise OutputWriteError("disk full")
            return super()._write(attempts)

    def fill(_name: str) -> OutputWriteError:
        nonlocal full
        full = True
        return OutputWriteError("disk full")

    bench = Bench(tmp_path, around={"attempts": Disk})
    bench.fail = fill
    bench.put("a.svs")
    bench.wait(40_000, step=100)
    assert len(bench.worked) > 10
    assert bench.set_aside() == []


def test_a_record_that_cannot_be_written_gives_the_true_reason_later(tmp_path: Path) -> None:
    full = True

    class Disk(Attempts):
        def _set_aside(self, why: SetAside) -> None:
            if full:
                raise OutputWriteError("disk full")
            super()._set_aside(why)

    bench = Bench(tmp_path, around={"attempts": Disk})
    bench.fail = lambda name: SlideError(f"{name}: no um per pixel")
    bench.put("a.svs")
    bench.wait(40_000, step=100)
    assert bench.set_aside() == []
    full = False
    bench.wait(4000, step=100)
    assert [one["reason"] for one in bench.set_aside()] == ["a.svs: no um per pixel"]


@pytest.mark.parametrize("what", ["lock", "look"])
def test_results_that_cannot_be_looked_at_or_locked_make_everything_wait(tmp_path: Path, what: str) -> None:
    """A share that is gone, permissions that were taken away, no inode left."""
    gone = True

    class Share(Attempts):
        def _is_file(self, path: Path) -> bool:
            if gone and what == "look":
                raise OSError(28, "No space left on device")
            return super()._is_file(path)

    bench = Bench(tmp_path, around={"attempts": Share})
    slide = bench.put("a.svs")
    lock = bench.out / ".watch" / f"{slide_folder(bench.out, slide.name, fingerprint_slide(slide)).name}.lock"
    if what == "lock":
        lock.mkdir(parents=True)  # nothing can be written under that name
    bench.wait(300)
    assert bench.worked == []
    assert isinstance(bench.events[-1], AllWait)
    gone = False
    if what == "lock":
        lock.rmdir()
    bench.wait(300)
    assert bench.worked == ["a.svs"]


def test_after_a_restart_slides_that_are_done_are_not_read_again(tmp_path: Path) -> None:
    """Ten thousand are 40 GB of fingerprints, for each run of cron."""
    read: list[str] = []
    odd = "\udcff" if sys.platform == "linux" else "\u00ff"  # a byte that is no Unicode, where one can be

    def counted(path: Path) -> str:
        read.append(path.name)
        return fingerprint_slide(path)

    bench = Bench(tmp_path, around={"fingerprint": counted})
    for n in range(300):
        bench.put(f"case {n}/{odd}{n}.svs" if n % 2 else f"{n}.svs", b"%d" % n)
    bench.wait(STILL)
    assert len(read) == len(bench.worked) == 300
    read.clear()
    bench.start()
    bench.wait(2 * STILL)
    assert read == []
    bench.put("2.svs", b"another scan")
    results = next(bench.out.glob("4.svs-*"))
    (results / "run.json").unlink()
    results.rmdir()
    bench.start()
    bench.wait(2 * STILL)
    assert sorted(read) == ["2.svs", "4.svs"]
    for damage in (b"", b'{"a": 1}', b"\xff"):
        next((bench.out / ".watch").glob("known-*")).write_bytes(damage)
        read.clear()
        bench.start()
        bench.wait(2 * STILL)
        assert len(read) == 300
    assert len(bench.worked) == 302


def test_a_folder_that_cannot_be_listed_is_told_and_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.put("a.svs")
    bench.put("secret/b.svs", b"b")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    closed = "secret"
    bench.wait(300)
    assert bench.worked == ["a.svs"]
    assert len([line for line in caplog.messages if "secret: cannot be listed" in line]) == 1
    closed = bench.folder.name
    with pytest.raises(SlideReadError, match="cannot be listed"):
        bench.watcher.round()
    closed = ""
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs", "b.svs"]  # what was known is known


@pytest.mark.parametrize("where", [".", "../in", "../linked"])
@pytest.mark.parametrize("results", ["results", "a/b/results", "../in/results"])
def test_results_below_the_folder_are_left_alone_however_both_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, results: str
) -> None:
    (tmp_path / "in" / results).mkdir(parents=True)
    try:
        (tmp_path / "linked").symlink_to(tmp_path / "in")
    except OSError:
        pytest.skip("links need rights here")
    monkeypatch.chdir(tmp_path / "in")
    Path(results, "heatmap.tif").write_bytes(b"no slide")
    Path("a.svs").write_bytes(b"slide")
    assert [slide.path.name for slide in Inbox(Path(where), 0, Path(results)).arrived()] == ["a.svs"]
