"""One process at a time writes to an output; who dies lets go, and nothing is written where a link leads."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from her2edge.alone import LOCK, alone_in, alone_with, lock_of
from her2edge.claim import claim
from her2edge.errors import NotOursError, OutputError, TakenError
from her2edge.files import atomic, whole, write_bytes, write_json

posix = pytest.mark.skipif(os.name != "posix", reason="links and owners are POSIX")

HOLD = """
import sys
from pathlib import Path
from her2edge.alone import alone_in, alone_with
with (alone_in if sys.argv[1] == "folder" else alone_with)(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""
ADD = """
import json, sys
from pathlib import Path
from her2edge.alone import alone_in
from her2edge.files import write_json
folder, path, own = Path(sys.argv[1]), Path(sys.argv[1], "rows.json"), sys.argv[2]
for n in range(25):
    with alone_in(folder, wait=60):
        rows = json.loads(path.read_text()) if path.exists() else []
        write_json(path, [*rows, f"{own}-{n}"])
"""
WRITE = """
import sys
from pathlib import Path
from her2edge.errors import TakenError
from her2edge.files import write_bytes
done = 0
while done < 100:
    try:
        write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 200_000)
        done += 1
    except TakenError:
        pass
"""


def held(kind: str, place: Path) -> subprocess.Popen[str]:
    """A process that holds a folder or file until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def doors(folder: Path, kind: str) -> contextlib.AbstractContextManager[None]:
    return alone_in(folder) if kind == "folder" else alone_with(folder / "model.tflite")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_second_is_told_that_another_is_at_work_and_what_a_killed_one_left_is_no_lock(
    tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = held(kind, out if kind == "folder" else out / "model.tflite")
    with pytest.raises(TakenError, match="found another her2edge at work there"), doors(out, kind):
        raise AssertionError
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in out.iterdir()] == [LOCK if kind == "folder" else ".model.tflite.lock"]
    with doors(out, kind):
        pass
    assert out.exists()
    assert list(out.iterdir()) == []


def test_who_waits_gets_in_when_the_other_ends(tmp_path: Path) -> None:
    process = held("folder", tmp_path / "out")
    assert process.stdin is not None
    process.stdin.close()
    with alone_in(tmp_path / "out", wait=60):
        pass
    assert process.wait() == 0


def test_rows_that_processes_add_at_once_are_all_there(tmp_path: Path) -> None:
    """The folder is made and removed, its lock made and removed, by four at once."""
    arguments = [sys.executable, "-c", ADD, str(tmp_path / "out")]
    several = [subprocess.Popen([*arguments, str(own)]) for own in range(4)]
    assert [process.wait() for process in several] == [0] * 4
    rows = json.loads((tmp_path / "out" / "rows.json").read_text())
    assert sorted(rows) == sorted(f"{own}-{n}" for own in range(4) for n in range(25))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.json"]


def test_a_file_that_three_write_at_once_is_always_the_whole_of_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    several = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), letter]) for letter in "abc"]
    looks = 0
    while any(process.poll() is None for process in several):
        with contextlib.suppress(FileNotFoundError):
            data = path.read_bytes()
            assert data == data[:1] * 200_000
            looks += 1
    assert looks
    assert [process.returncode for process in several] == [0] * 3
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_touch_each_others_halves(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic(path) as first:
        first.write(b"first")
        with pytest.raises(TakenError, match="file: found another her2edge at work there"):
            write_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    with whole(path) as temporary:
        temporary.write_bytes(b"third")
        with pytest.raises(TakenError), whole(path):
            raise AssertionError
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("to", ["missing", "file", "folder", "pipe", "itself", "two names"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_lock_that_is_a_link_is_refused_and_nothing_is_written_there(
    tmp_path: Path, kind: str, to: str
) -> None:
    there, out = tmp_path / "there", tmp_path / "out"
    out.mkdir()
    if to in ("file", "two names"):
        there.write_text("precious")
    elif to == "folder":
        there.mkdir()
    elif to == "pipe":
        os.mkfifo(there)
    lock = out / LOCK if kind == "folder" else lock_of(out / "model.tflite")
    lock.hardlink_to(there) if to == "two names" else lock.symlink_to(lock if to == "itself" else there)
    with pytest.raises(NotOursError, match="found a link"), doors(out, kind):
        raise AssertionError
    assert to not in ("file", "two names") or there.read_text() == "precious"
    assert to != "missing" or not there.exists()


@posix
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / LOCK)
    with pytest.raises(OutputError, match="folder or device"), alone_in(tmp_path):
        raise AssertionError


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_lock_that_another_user_left_is_refused_and_one_that_he_holds_is_his(tmp_path: Path) -> None:
    lock = tmp_path / LOCK
    lock.touch()
    os.chown(lock, 12345, 12345)
    with pytest.raises(NotOursError, match="another user's"), alone_in(tmp_path):
        raise AssertionError
    assert lock.exists()
    lock.unlink()
    with claim(lock):
        os.chown(lock, 12345, 12345)
        with pytest.raises(TakenError), alone_in(tmp_path):
            raise AssertionError


def test_a_folder_made_for_nothing_goes_and_one_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    for name, stays in (("before", True), ("made", False)):
        with contextlib.suppress(ValueError), alone_in(tmp_path / name):
            raise ValueError
        assert (tmp_path / name).exists() is stays
    with alone_in(tmp_path / "made"):
        write_json(tmp_path / "made" / "x.json", {})
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["x.json"]


@posix
def test_where_the_file_system_has_no_locks_it_is_said_and_work_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_locks(monkeypatch)
    with alone_in(tmp_path / "out"):
        write_bytes(tmp_path / "out" / "x", b"x")
    assert caplog.text.count("has no locks") == 1
    assert str(tmp_path / "out") in caplog.text


@posix
def test_where_the_file_system_has_no_locks_one_that_is_there_is_anothers_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_locks(monkeypatch)
    with alone_in(tmp_path):
        with (
            pytest.raises(TakenError, match=f"remove .*{LOCK} if no her2edge is at work"),
            alone_in(tmp_path),
        ):
            raise AssertionError
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    monkeypatch.setattr("her2edge.claim._without_locks", set())


def test_a_file_whose_folder_is_not_there_is_named_and_not_its_lock(tmp_path: Path) -> None:
    place = tmp_path / "nodir" / "m.prom"
    with (
        pytest.raises(OutputError, match=r"^m\.prom: cannot be created .*; create the folder"),
        alone_with(place),
    ):
        raise AssertionError


@posix
def test_a_name_that_is_too_long_is_an_output_error(tmp_path: Path) -> None:
    for door in (alone_in, alone_with):
        with pytest.raises(OutputError, match="File name too long"), door(tmp_path / ("L" * 300)):
            raise AssertionError
