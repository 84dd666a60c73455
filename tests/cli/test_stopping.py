"""A signal that Python would drop ends the command all the same, once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from her2edge_cli.stopping import AGAIN, stoppable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def as_it_was() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def in_a_callback_from_c(number: int) -> None:
    """Send ourselves a signal where no exception gets out."""

    @ctypes.CFUNCTYPE(None)
    def callback() -> None:
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass

    callback()


def _work(number: int) -> None:
    with stoppable():
        in_a_callback_from_c(number)
        time.sleep(10)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_in_a_callback_from_c_is_not_lost(number: int, error: type[BaseException]) -> None:
    begun = time.monotonic()
    with pytest.raises(error):
        _work(number)
    assert time.monotonic() - begun < 5


def test_nothing_comes_after_the_end() -> None:
    hook = sys.unraisablehook
    with stoppable():
        in_a_callback_from_c(signal.SIGINT)
    time.sleep(10 * AGAIN)
    assert sys.unraisablehook is hook


def test_other_dropped_exceptions_are_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))

    class Bad:
        def __del__(self) -> None:
            raise ZeroDivisionError

    with stoppable():
        Bad()
    assert seen == [ZeroDivisionError]


def test_an_interrupt_inside_an_exec_ends_with_the_exit_code_that_was_asked_for(tmp_path: Path) -> None:
    """`python -m` would end by the signal itself."""
    (tmp_path / "execs.py").write_text(
        "import os, signal\n"
        "from her2edge_cli.stopping import stoppable\n"
        "try:\n"
        "    with stoppable():\n"
        "        exec('os.kill(os.getpid(), signal.SIGINT)\\nwhile True: pass')\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(130)\n"
    )
    done = subprocess.run([sys.executable, "-m", "execs"], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 130, done.stderr


def test_a_job_that_ignores_ctrl_c_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code", "words"), [("SIGINT", 130, "her2edge: interrupted\n"), ("SIGTERM", 143, "")]
)
@pytest.mark.parametrize("module", ["her2edge_cli.quiet", "her2edge", "numpy", "her2edge_cli.main"])
def test_a_signal_while_it_loads_ends_it_in_one_line(number: str, code: int, words: str, module: str) -> None:
    """It comes when this module is looked for."""
    script = f"""
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{number})
sys.meta_path.insert(0, Finder())
from her2edge_cli import run
run()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, words)


def test_ctrl_c_while_the_last_lines_wait_for_a_reader_ends_it_in_one_line() -> None:
    script = """
import sys
import her2edge_cli.main as command
from her2edge_cli import run
from her2edge_cli.streams import lenient_streams
def main():
    with lenient_streams():
        sys.stdout.write("x" * 7000)
        print("flushing", file=sys.stderr)
    return 0
command.main = main
run()
"""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"y" * 4096)
    os.set_blocking(writer, True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], 60)[0]
    assert process.stderr.readline() == "flushing\n"
    waits = Path(f"/proc/{process.pid}/wchan")
    for _ in range(100):  # at most ten seconds, where the system tells; a busy machine takes its time
        time.sleep(0.1)
        if not waits.exists() or "pipe" in waits.read_text():
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, "her2edge: interrupted\n")
    os.close(reader)
    os.close(writer)
