"""Output to people and programs is an output: full disks and readers that went away end no work."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_slide
import tiny
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from her2edge_cli import exits
from her2edge_cli.main import cli
from her2edge_cli.memory import out_of_memory
from her2edge_cli.progress import Turns, counter, duration, left_for_all
from her2edge_cli.streams import Lenient, Streams

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")

# How a stream is lost: what the shell writes behind the command, and the exit code of one that had all done.
LOST = {"full disk": ("/dev/full", 74), "closed pipe": (None, 141)}


def watching(folder: Path, out: Path) -> list[str]:
    model = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    return ["watch", str(folder), "--out", str(out), *model, "--still", "0.2", "--poll", "0.05"]


def metrics_of(path: Path) -> dict[str, float]:
    """`name{label}` -> value, read by Prometheus' own parser."""
    samples = [one for family in text_string_to_metric_families(path.read_text()) for one in family.samples]
    return {"{".join([one.name, *one.labels.values()]): one.value for one in samples}


def run(command: list[object], lost: str, kind: str) -> tuple[int, str]:
    """Exit code and what came through the other stream; lost: "stdout" or "stderr"."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if kind == "full disk":
        streams[lost] = FULL.open("wb")
    else:
        reader, writer = os.pipe()
        os.close(reader)
        streams[lost] = os.fdopen(writer, "wb")
    done = subprocess.run(
        [sys.executable, "-m", "her2edge_cli", *map(str, command)], text=True, check=False, **streams
    )
    streams[lost].close()
    return done.returncode, done.stdout or done.stderr or ""


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    first = small_slide.draw_slide(folder / "0.png", columns=3, rows=2)
    for number in (1, 2):
        shutil.copy(first, folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("lost", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", LOST)
def test_classify_finishes_its_slides_and_then_says_by_its_code_that_lines_are_lost(
    slides: Path, tmp_path: Path, kind: str, lost: str, more: list[str]
) -> None:
    first, *rest = sorted(slides.iterdir())
    command = small_slide.arguments(first, tmp_path / "out", *map(str, rest), *more)
    code, other = run(list(command), lost, kind)
    assert code == LOST[kind][1]
    assert "Traceback" not in other
    assert "Exception ignored" not in other
    assert len(list((tmp_path / "out").glob("*/run.json"))) == 3


@pytest.mark.parametrize("lost", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", LOST)
def test_watch_drops_the_lines_counts_them_and_goes_on(
    slides: Path, tmp_path: Path, kind: str, lost: str, record_property: Callable[[str, object], None]
) -> None:
    folder, counts = tmp_path / "in", tmp_path / "x.prom"
    folder.mkdir()
    for path in slides.iterdir():
        shutil.copy(path, (folder / path.name).with_suffix(".tif"))
    command = [*watching(folder, tmp_path / "out"), "--once", "--json", "--metrics", str(counts)]
    code, other = run(list(command), lost, kind)
    assert code == 0
    assert "Traceback" not in other
    assert len(list((tmp_path / "out").glob("*/run.json"))) == 3
    metrics = metrics_of(counts)
    assert metrics["her2edge_slides_total{done"] == 3
    lines = metrics["her2edge_lines_lost_total"]
    assert lines == 3 if lost == "stdout" else lines >= 2  # the notice and the last line
    if lost == "stdout":
        assert other.splitlines()[-1] == "her2edge: 3 done; 3 line(s) could not be written"
    record_property("figure", f"watch, {lost}, {kind}: 3 of 3 slides, {lines:.0f} lines counted")


@pytest.mark.parametrize("lost", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", LOST)
def test_no_verb_ends_in_a_traceback_where_its_help_or_its_error_cannot_be_said(kind: str, lost: str) -> None:
    """Every verb in one process: they say things through the same two streams."""
    script = f"""
import sys
from her2edge_cli.main import main
codes = [(main([verb, "--help"]), main([verb, "--no-such-option"])) for verb in {sorted(cli.commands)}]
assert set(codes) == {{({LOST[kind][1] if lost == "stdout" else 0}, 2)}}, codes
"""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if kind == "full disk":
        streams[lost] = FULL.open("wb")
    else:
        reader, writer = os.pipe()
        os.close(reader)
        streams[lost] = os.fdopen(writer, "wb")
    done = subprocess.run([sys.executable, "-c", script], text=True, check=False, **streams)
    streams[lost].close()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_was_closed_from_the_start_takes_no_other_files_place(
    slides: Path, tmp_path: Path, closed: int
) -> None:
    command = small_slide.arguments(slides / "0.png", tmp_path / "out")
    shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", sys.executable, "-m", "her2edge_cli", *command]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 74
    assert "Traceback" not in done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*/run.json"))) == 1


def test_a_bar_on_a_terminal_that_is_gone_ends_nothing(slides: Path, tmp_path: Path) -> None:
    import pty

    controller, terminal = pty.openpty()
    os.close(controller)
    command = small_slide.arguments(slides / "0.png", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-m", "her2edge_cli", *command], stdout=terminal, stderr=terminal, check=False
    )
    os.close(terminal)
    assert done.returncode == 74
    assert len(list((tmp_path / "out").glob("*/run.json"))) == 1


class Broken(io.RawIOBase):
    """Takes so many bytes, then fails."""

    def __init__(self, room: int, number: int) -> None:
        self.room, self.number = room, number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(self.number, os.strerror(self.number))
        taken = min(self.room, len(data))
        self.room -= taken
        return taken


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 74), (errno.EPIPE, 141), (errno.EIO, 74)])
@pytest.mark.parametrize("room", [0, 1, 5, 6, 7, 11, 12])
def test_each_line_that_did_not_get_out_whole_is_counted_once(number: int, code: int, room: int) -> None:
    streams = Streams()
    text = streams.over(io.TextIOWrapper(io.BufferedWriter(Broken(room, number))), "<stdout>")
    for _ in range(2):
        text.write("12345\n")
        text.flush()
    assert streams.lost == 2 - room // 6
    assert streams.exit_code(exits.DONE) == (exits.DONE if room == 12 else code)
    assert streams.exit_code(exits.REFUSED) == exits.REFUSED


def test_what_is_no_file_of_the_systems_stays_what_it_is() -> None:
    for stream in (io.StringIO(), io.TextIOWrapper(io.BytesIO())):
        assert Streams().over(stream, "x") is stream
    assert Lenient(None).write(b"a\nb\n") == 4


def test_several_slides_are_counted_and_the_last_line_says_what_they_came_to(
    slides: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no slide")
    first, *rest = sorted(slides.iterdir())
    out = tmp_path / "out"
    assert small_slide.classify(first, out) == 0
    assert "done" not in capfd.readouterr().err  # one slide has its own line
    assert small_slide.classify(first, out, *map(str, rest), str(bad)) == exits.PARTLY
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines if ": slide " in line] == [
        f"slide {number} of 4" for number in (1, 2, 3, 4)
    ]
    assert lines[-1] == "her2edge: 3 done (1 before), 1 refused"


def test_the_time_left_is_that_of_slides_that_were_read_here() -> None:
    now = 0.0
    turns = Turns(4, clock=lambda: now)
    turns.begin()  # skipped: complete before
    turns.begin()
    assert turns.left is None
    assert turns.advance(40, 100) is None  # resumed
    now = 30.0
    assert turns.advance(70, 100) == pytest.approx(30 + 2 * 100)  # one second a tile
    turns.begin()
    assert turns.left == pytest.approx(2 * 100)
    assert [duration(s) for s in (10, 700, 12_000)] == ["less than a minute", "12 min", "3 h 20 min"]
    assert [left_for_all(s) for s in (None, 30, 700)] == [
        "", ", less than a minute left for all", ", about 12 min left for all"
    ]  # fmt: skip


def test_a_bar_says_which_slide_of_how_many_and_the_time_left_for_all() -> None:
    now, text = 0.0, io.StringIO()
    turns = Turns(40, clock=lambda: now)
    for _ in range(7):
        turns.begin()
    console = Console(file=text, force_terminal=True, width=200)
    with counter("case.svs", console, turns) as advance:
        advance(0, 100)
        now = 50.0
        advance(50, 100)
    assert "case.svs (slide 7 of 40, about 56 min left for all)" in text.getvalue()


def test_watch_does_not_end_with_0_over_a_folder_that_it_could_not_look_into(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from her2edge_cli.main import main

    folder = tmp_path / "in"
    (folder / "closed").mkdir(parents=True)
    shutil.copy(slides / "0.png", folder / "a.tif")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert main([*watching(folder, tmp_path / "out"), "--once"]) == exits.PARTLY
    assert "closed: cannot be listed" in capsys.readouterr().err
    assert main([*watching(folder, tmp_path / "out"), "--once"]) == 0


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("classify", "nothing is lost"),
        ("watch", "nothing is lost"),
        ("train", "whole epochs are kept"),
        ("cohort", "nothing is lost"),
    ],
)
def test_out_of_memory_promises_what_the_verb_keeps(verb: str, words: str) -> None:
    assert words in out_of_memory([verb, "a.svs"])
    for other in set(cli.commands) - {"classify", "cohort", "watch", "train", "study"}:
        line = out_of_memory([other])
        assert "lost" not in line
        assert "resume" not in line
        assert "run the same command again" in line


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "utf-8"])
def test_what_the_encoding_lacks_is_escaped_and_json_stays_json(encoding: str, tmp_path: Path) -> None:
    script = (
        "import json, sys\nfrom her2edge_cli.streams import lenient_streams\nwith lenient_streams():\n"
        "    for stream in (sys.stdout, sys.stderr):\n"
        "        print(json.dumps(sys.argv[1], ensure_ascii=False), file=stream)"
    )
    name = "\u0141\xf3d\u017a \U0001f52c"
    done = subprocess.run(
        [sys.executable, "-c", script, name],
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding)) == name


def test_without_standard_input_and_output_the_pipe_of_stderr_takes_neithers_place() -> None:
    script = (
        "import os, sys; sys.argv = ['her2edge', '--version']\nfrom her2edge_cli import main, run\n"
        "def look(): os.write(2, os.readlink('/proc/self/fd/1').encode() + b'\\n'); return 0\n"
        "main.main = look\nrun()"
    ).replace(
        "from her2edge_cli import main, run", "import her2edge_cli.main as main\nfrom her2edge_cli import run"
    )
    shell = ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", script]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "/dev/null")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux'")
@pytest.mark.parametrize("kib", [200_000, 300_000, 500_000, 700_000])
def test_memory_that_is_short_while_it_loads_is_said_as_that(kib: int) -> None:
    shell = [
        "sh",
        "-c",
        f'ulimit -v {kib}; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "her2edge_cli",
        "--version",
    ]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 75), done.stderr
    if done.returncode:
        assert done.stderr == out_of_memory(["--version"]) + "\n"
