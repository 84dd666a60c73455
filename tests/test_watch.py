"""A folder that a scanner drops slides into: each is done once, none is lost, none is tried for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from her2edge.errors import (
    Her2EdgeError,
    MissingInputError,
    OptionError,
    OutputError,
    OutputWriteError,
    RuntimeUnavailable,
    SlideError,
    SlideReadError,
)
from her2edge.journal import TakenError
from her2edge.outputs import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge_cli import watcher
from her2edge_cli.attempts import Attempts
from her2edge_cli.inbox import Inbox
from her2edge_cli.watcher import Patience, Watcher

SETTLE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A folder, a clock that is turned by hand, and work that fails as it is told."""

    def __init__(self, root: Path, **patience: Any) -> None:
        self.folder, self.out = root / "in", root / "out"
        self.folder.mkdir(exist_ok=True)
        self.clock, self.worked, self.said, self.aside = Clock(), [], [], []
        self.fail: Callable[[str], BaseException | None] = lambda _name: None
        self.told: Callable[[str], None] = lambda _name: None
        self.patience = Patience(**patience)
        self.start()

    def start(self) -> None:
        """A watcher that knows nothing but what is on the disk."""
        inbox = Inbox(self.folder, SETTLE, self.out, self.clock)
        self.watcher = Watcher(
            inbox,
            self.out,
            self._work,
            lambda name: self.told(name),
            self.said.append,
            self.aside.append,
            self.patience,
            self.clock,
        )

    def _work(self, path: Path) -> str:
        self.worked.append(path.name)
        error = self.fail(path.name)
        if error is not None:
            raise error
        results = slide_folder(self.out, path.name, fingerprint_slide(path))
        results.mkdir(parents=True)
        (results / "run.json").write_text("{}")
        return path.name

    def put(self, name: str, data: bytes = b"slide") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def wait(self, seconds: float, step: float = 5.0) -> None:
        """Let time go by, with a round every `step` seconds."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.watcher.round()
            self.clock.now += step
        self.watcher.round()

    def set_aside(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.out / "failed").glob("*.json"))]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_slide_is_done_once_and_only_when_it_has_stopped_growing(bench: Bench) -> None:
    path = bench.put("a.svs", b"1")
    for part in range(4):
        bench.wait(SETTLE - 5)
        assert bench.worked == []
        assert bench.watcher.waiting
        path.write_bytes(b"1" * (part + 2))
    bench.wait(SETTLE)
    assert bench.worked == ["a.svs"]
    bench.wait(600)
    assert bench.worked == ["a.svs"]
    assert not bench.watcher.waiting


def test_a_file_of_the_same_size_that_is_still_written_has_not_arrived(bench: Bench) -> None:
    """Scanners that reserve the space first."""
    path = bench.put("a.svs", b"0" * 50)
    for second in range(20):
        bench.wait(5)
        os.utime(path, ns=(second, 10**18 + second))
    assert bench.worked == []
    bench.wait(SETTLE)
    assert bench.worked == ["a.svs"]


def test_a_clock_that_jumps_by_twenty_years_changes_nothing(bench: Bench) -> None:
    for name, when in (("old.svs", 0), ("future.svs", 4_000_000_000)):
        os.utime(bench.put(name), (when, when))
    bench.wait(SETTLE)
    assert sorted(bench.worked) == ["future.svs", "old.svs"]


def test_hidden_empty_and_foreign_files_and_the_results_themselves_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.out = bench.folder / "results"
    bench.start()
    for name in (".a.svs", ".hidden/b.svs", "macro.jpg", "case.xml", "results/c.svs"):
        bench.put(name)
    bench.put("empty.svs", b"")
    bench.put("case 7/d.SVS")
    bench.wait(3 * SETTLE)
    assert bench.worked == ["d.SVS"]


def test_an_mrxs_arrives_when_the_folder_beside_it_has(bench: Bench) -> None:
    bench.put("a.mrxs")
    for part in range(4):
        bench.put(f"a/Data{part}.dat")
        bench.wait(SETTLE - 5)
    assert bench.worked == []
    bench.wait(SETTLE)
    assert bench.worked == ["a.mrxs"]


def test_what_was_done_before_a_restart_is_not_done_again(bench: Bench) -> None:
    bench.put("a.svs")
    bench.wait(SETTLE)
    bench.start()
    bench.put("b.svs", b"another")
    bench.wait(2 * SETTLE)
    assert bench.worked == ["a.svs", "b.svs"]


def test_a_slide_that_is_written_again_is_another_slide(bench: Bench) -> None:
    bench.put("a.svs", b"first")
    bench.wait(SETTLE)
    bench.put("a.svs", b"second scan")
    bench.wait(2 * SETTLE)
    assert bench.worked == ["a.svs", "a.svs"]
    assert len([one for one in bench.out.iterdir() if one.name.startswith("a-")]) == 2


def test_a_slide_that_cannot_be_read_is_tried_again_later_and_later_then_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=3, wait=40.0)
    bench.fail = lambda name: SlideReadError(f"{name}: broken") if name == "bad.svs" else None
    bench.put("bad.svs")
    bench.put("good.svs", b"good")
    bench.wait(SETTLE)
    assert sorted(bench.worked) == ["bad.svs", "good.svs"]  # nobody waits for it
    tries = []
    for _ in range(200):
        before = len(bench.worked)
        bench.wait(0)
        bench.clock.now += 5
        if len(bench.worked) > before:
            tries.append(bench.clock.now - 1000)
    assert len(tries) == 3
    gaps = [b - a for a, b in zip([SETTLE, *tries], tries, strict=False)]
    assert 40 <= gaps[0] < 60 <= 80 <= gaps[1] < 100 < 160 <= gaps[2] < 180
    (record,) = bench.set_aside()
    assert (record["slide"], record["attempts"], record["exit_code"]) == ("bad.svs", 4, 65)
    assert record["reason"] == "bad.svs: broken"
    assert [one.slide for one in bench.aside] == ["bad.svs"]
    assert "Research use only" in record["notice"]
    assert "set aside" in bench.said[-1]
    bench.start()
    bench.wait(10_000, step=100)
    assert bench.worked.count("bad.svs") == 4  # not after a restart either
    (bench.out / "failed" / next((bench.out / "failed").iterdir()).name).unlink()
    bench.fail = lambda _name: None
    bench.start()
    bench.wait(2 * SETTLE)
    assert bench.worked.count("bad.svs") == 5  # the record removed, it is tried again
    assert bench.set_aside() == []


def test_a_slide_that_can_be_read_but_not_used_is_set_aside_at_once(bench: Bench) -> None:
    bench.fail = lambda name: SlideError(f"{name}: no um per pixel")
    bench.put("a.svs")
    bench.wait(600)
    assert bench.worked == ["a.svs"]
    assert [one["attempts"] for one in bench.set_aside()] == [1]


def test_a_bug_costs_its_slide_and_not_the_service(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.fail = lambda name: ZeroDivisionError("oh") if name == "a.svs" else None
    bench.put("a.svs")
    bench.put("b.svs", b"b")
    bench.wait(600)
    assert bench.worked == ["a.svs", "b.svs"]
    (record,) = bench.set_aside()
    assert (record["exit_code"], record["reason"]) == (1, "a bug: ZeroDivisionError, see the log")
    assert "ZeroDivisionError: oh" in caplog.text


@pytest.mark.parametrize("error", [OutputWriteError("disk full"), OutputError("read-only")])
def test_a_full_disk_is_nobodys_fault_everything_waits_and_then_goes_on(
    bench: Bench, error: Her2EdgeError
) -> None:
    full = True
    bench.fail = lambda _name: error if full else None
    for name in ("a.svs", "b.svs", "c.svs"):
        bench.put(name, name.encode())
    bench.wait(5000)
    assert set(bench.worked) == {"a.svs"}
    assert len(bench.worked) < 10  # waits longer and longer
    assert bench.watcher.waiting
    full = False
    bench.worked.clear()
    bench.wait(3600)
    assert bench.worked == ["a.svs", "b.svs", "c.svs"]
    assert bench.set_aside() == []


def test_an_interruption_is_not_counted_against_the_slide(bench: Bench) -> None:
    bench.fail = lambda _name: KeyboardInterrupt()
    bench.put("a.svs")
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            bench.wait(2 * SETTLE)
        bench.start()
    bench.fail = lambda _name: None
    bench.wait(2 * SETTLE)
    assert bench.worked[-1] == "a.svs"
    assert bench.set_aside() == []
    assert bench.watcher.waiting == 0


def test_a_slide_that_kills_the_process_each_time_is_set_aside(tmp_path: Path) -> None:
    """As a native library may; a service manager starts the watcher anew, which must not go on for ever."""
    script = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_watch import SETTLE, Bench
bench = Bench(Path(sys.argv[1]), retries=2)
bench.fail = lambda name: os._exit(139)
bench.wait(2 * SETTLE)
"""
    Bench(tmp_path).put("a.svs")
    here = str(Path(__file__).parent)
    codes = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path), here], check=False).returncode
        for _ in range(4)
    ]
    assert codes == [139, 139, 139, 0]
    (record,) = Bench(tmp_path).set_aside()
    assert record["attempts"] == 3
    assert "the process ended before the slide did" in record["reason"]


def test_a_slide_is_claimed_by_one_of_several_watchers(bench: Bench) -> None:
    path = bench.put("a.svs")
    name = slide_folder(bench.out, path.name, fingerprint_slide(path)).name
    (bench.out / ".watch").mkdir(parents=True)
    with FileLock(bench.out / ".watch" / f"{name}.lock"):
        bench.wait(300)
        assert bench.worked == []
    bench.wait(60)
    assert bench.worked == ["a.svs"]
    (known,) = (bench.out / ".watch").iterdir()  # nothing piles up
    assert known.name.startswith("known-")


def test_a_slide_that_goes_away_is_forgotten_and_a_folder_that_does_is_an_error(bench: Bench) -> None:
    bench.fail = lambda name: SlideReadError(f"{name}: broken")
    path = bench.put("a.svs")
    bench.wait(SETTLE)
    path.unlink()
    bench.wait(600)
    assert bench.worked == ["a.svs"]
    assert not bench.watcher.waiting
    bench.folder.rmdir()
    with pytest.raises(MissingInputError, match="no such folder"):
        bench.watcher.round()


def test_a_damaged_record_of_attempts_counts_as_none(bench: Bench) -> None:
    path = bench.put("a.svs")
    name = slide_folder(bench.out, path.name, fingerprint_slide(path)).name
    (bench.out / ".watch").mkdir(parents=True)
    (bench.out / ".watch" / f"{name}.json").write_bytes(b'{"attempts": ')
    bench.wait(SETTLE)
    assert bench.worked == ["a.svs"]


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
    bench.wait(SETTLE)
    assert bench.worked == ["a.svs", "a.svs"]
    assert bench.set_aside() == []


def test_a_file_that_nobody_may_read_is_set_aside_in_the_end_and_done_when_one_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `--once` never ends."""
    bench = Bench(tmp_path, retries=2)
    bench.put("a.svs")

    def refused(path: Path) -> str:
        raise SlideReadError(f"{path.name}: cannot be read (Permission denied)")

    bench.fail = lambda name: SlideReadError(f"{name}: cannot be read (Permission denied)")
    monkeypatch.setattr(watcher, "fingerprint_slide", refused)
    bench.wait(600)
    (record,) = bench.set_aside()
    assert (record["attempts"], record["reason"]) == (3, "a.svs: cannot be read (Permission denied)")
    assert not bench.watcher.waiting
    bench.start()
    bench.wait(600)
    assert len(bench.worked) == 3
    monkeypatch.undo()
    bench.fail = lambda _name: None
    bench.start()
    bench.wait(2 * SETTLE)
    assert len(bench.worked) == 4


@pytest.mark.parametrize("error", [RuntimeUnavailable("no OpenSlide"), OptionError("mpp 99")])
def test_what_is_wrong_for_every_slide_sets_none_aside(bench: Bench, error: Her2EdgeError) -> None:
    bench.fail = lambda _name: error
    bench.put("a.svs")
    for _ in range(10):
        with pytest.raises(type(error)):
            bench.wait(2 * SETTLE)
        bench.start()
    bench.fail = lambda _name: None
    bench.wait(2 * SETTLE)
    assert bench.worked[-1] == "a.svs"
    assert bench.set_aside() == []


def test_a_slide_that_classify_is_at_work_on_makes_no_other_wait(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=0)
    bench.fail = lambda name: TakenError("another her2edge") if name == "a.svs" else None
    bench.put("a.svs")
    bench.put("b.svs", b"b")
    bench.wait(SETTLE)
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

    bench.told = gone
    bench.put("a.svs")
    with pytest.raises(BrokenPipeError):
        bench.wait(2 * SETTLE)
    assert bench.set_aside() == []
    bench.start()
    bench.wait(2 * SETTLE)
    assert bench.worked == ["a.svs"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
def test_what_the_machine_lacks_for_a_moment_is_tried_again(bench: Bench, error: Exception) -> None:
    bench.fail = lambda _name: error
    bench.put("a.svs")
    bench.wait(2 * SETTLE)
    bench.fail = lambda _name: None
    bench.wait(60)
    assert bench.worked == ["a.svs", "a.svs"]
    assert not bench.watcher.waiting


def test_a_disk_that_fills_in_the_middle_of_a_slide_counts_against_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one byte more can be written then, not even that the attempt does not count."""
    begin, full = Attempts.begin, False

    def write(self: Attempts, attempts: int) -> int:
        if full:
            raise OutputWriteError("disk full")
        return original(self, attempts)

    def fill(_name: str) -> OutputWriteError:
        nonlocal full
        full = True
        return OutputWriteError("disk full")

    def room(self: Attempts) -> int:
        nonlocal full
        full = False
        return begin(self)

    original = Attempts._write
    monkeypatch.setattr(Attempts, "_write", write)
    monkeypatch.setattr(Attempts, "begin", room)
    bench.fail = fill
    bench.put("a.svs")
    bench.wait(40_000, step=100)
    assert len(bench.worked) > 10
    assert bench.set_aside() == []


def test_a_record_that_cannot_be_written_gives_the_true_reason_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside = Attempts._set_aside

    def full(*_: object) -> None:
        raise OutputWriteError("disk full")

    monkeypatch.setattr(Attempts, "_set_aside", full)
    bench.fail = lambda name: SlideError(f"{name}: no um per pixel")
    bench.put("a.svs")
    bench.wait(40_000, step=100)
    assert bench.set_aside() == []
    monkeypatch.setattr(Attempts, "_set_aside", set_aside)
    bench.wait(4000, step=100)
    assert [one["reason"] for one in bench.set_aside()] == ["a.svs: no um per pixel"]


@pytest.mark.parametrize("method", ["lock", "look"])
def test_results_that_cannot_be_looked_at_or_locked_make_everything_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A share that is gone, permissions that were taken away, no inode left."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if method == "lock":
        monkeypatch.setattr("her2edge_cli.attempts.FileLock.acquire", refused)
    else:
        monkeypatch.setattr("her2edge_cli.attempts.Path.is_file", refused)
    bench.put("a.svs")
    bench.wait(300)
    assert bench.worked == []
    assert "everything waits" in bench.said[-1]
    monkeypatch.undo()
    bench.wait(300)
    assert bench.worked == ["a.svs"]


def test_after_a_restart_slides_that_are_done_are_not_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand are 40 GB of fingerprints, for each run of cron."""
    read: list[str] = []
    odd = "\udcff" if sys.platform == "linux" else "\u00ff"  # a byte that is no Unicode, where one can be

    def counted(path: Path) -> str:
        read.append(path.name)
        return fingerprint_slide(path)

    monkeypatch.setattr(watcher, "fingerprint_slide", counted)
    for n in range(300):
        bench.put(f"case {n}/{odd}{n}.svs" if n % 2 else f"{n}.svs", b"%d" % n)
    bench.wait(SETTLE)
    assert len(read) == len(bench.worked) == 300
    read.clear()
    bench.start()
    bench.wait(2 * SETTLE)
    assert read == []
    bench.put("2.svs", b"another scan")
    results = next(bench.out.glob("4-*"))
    (results / "run.json").unlink()
    results.rmdir()
    bench.start()
    bench.wait(2 * SETTLE)
    assert sorted(read) == ["2.svs", "4.svs"]
    for damage in (b"", b'{"a": 1}', b"\xff"):
        next((bench.out / ".watch").glob("known-*")).write_bytes(damage)
        read.clear()
        bench.start()
        bench.wait(2 * SETTLE)
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
    bench.wait(2 * SETTLE)
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
