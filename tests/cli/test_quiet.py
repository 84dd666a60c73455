"""What native libraries chatter does not reach the user's stderr; everything else does."""

from __future__ import annotations

import faulthandler
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from her2edge_cli.quiet import LEVEL, without_chatter

SLIDE = tiny.DATA / "first" / "slide.png"
CHATTER = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "I0000 00:00:1795909916.003993   14541 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    "W0000 00:00:1795909916.003993   14541 tf_tfl_flatbuffer_helpers.cc:364] Ignored output_format.",
    "2026-11-28 23:50:16.003993: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "fully_quantize: 0, inference_type: 6, input_inference_type: UINT8, output_inference_type: INT8",
)
SPEECH = (
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "E0000 00:00:1795909916.003993   14541 allocator.cc:31] out of memory",
    "ERROR: Node number 3 failed to invoke.",
    "her2edge: warning: INFO: of the user's own",
)
WRITES = """
import os, sys
from her2edge_cli.quiet import without_chatter
with without_chatter():
    for line in sys.argv[1:]:
        os.write(2, (line + "\\n").encode())
    print("INFO: of Python's own", file=sys.stderr)
print("INFO: afterwards", file=sys.stderr)
"""


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=kept | environment
    )


def test_only_chatter_is_kept_back_and_pythons_own_lines_never_are() -> None:
    lines = ran("-c", WRITES, *CHATTER, *SPEECH).stderr.splitlines()
    assert [line for line in lines if line in SPEECH] == list(SPEECH)
    assert set(lines) - set(SPEECH) == {"INFO: of Python's own", "INFO: afterwards"}


def test_who_asks_for_the_log_gets_it() -> None:
    lines = ran("-c", WRITES, *CHATTER, TF_CPP_MIN_LOG_LEVEL="0").stderr.splitlines()
    assert set(CHATTER) <= set(lines)


@pytest.mark.skipif(os.name != "posix", reason="ends by a signal")
def test_a_crash_of_native_code_is_not_silent() -> None:
    program = "import os\nfrom her2edge_cli.quiet import without_chatter\nwith without_chatter(): os.abort()"
    assert "Fatal Python error: Aborted" in ran("-c", program).stderr


def test_a_stderr_that_takes_nothing_makes_nobody_wait() -> None:
    """The thread drains the pipe, though nobody reads what it passes on."""
    program = "import os\nread, write = os.pipe(); os.dup2(write, 2); os.close(read)\n" + WRITES
    program = program.split("    print(")[0]
    assert ran("-c", program, *(["x" * 1000] * 500)).returncode == 0
    assert ran("-c", "import os; os.close(2)\n" + WRITES.split("    for")[0] + "    pass").returncode == 0


def test_classify_says_nothing_but_its_own_lines(tmp_path: Path) -> None:
    arguments = ("--mpp", "0.5", "--out", str(tmp_path / "out"), "--model", str(tiny.INT8))
    done = ran("-m", "her2edge_cli", "classify", str(SLIDE), *arguments)
    assert done.returncode == 0
    assert all(re.match("her2edge: ", line) for line in done.stderr.splitlines()), done.stderr


@pytest.mark.slow
def test_training_and_quantizing_say_nothing_but_their_own_lines(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")
    recipe = tmp_path / "small.py"
    recipe.write_text(
        "from her2edge_training.recipe import Recipe, Stage\n"
        "STAGES = tuple(Stage(tile_px=px, epochs=1, learning_rate=1e-3, batch=6) for px in (32, 48, 64))\n"
        'RECIPE = Recipe("small", "efficientnetb0", STAGES, tile_px=64, dense_units=8)\n'
    )
    command, run = ("-m", "her2edge_cli"), str(tmp_path / "run")
    size = ("--slides", "12", "--tiles", "2", "--tile-px", "64")
    drawn = ran(*command, "synthesize", "--out", str(tmp_path / "data"), *size)
    assert drawn.returncode == 0
    data = ("--data", str(tmp_path / "data" / "cohort.csv"))
    trained = ran(*command, "train", str(recipe), *data, "--out", run)
    more = ("--scheme", "int8", "--out", str(tmp_path / "m.tflite"), "--accept-loss")
    quantized = ran(*command, "quantize", run, *data, *more)
    for done in (drawn, trained, quantized):
        assert done.returncode == 0, done.stderr
        assert all(re.match("her2edge: ", line) for line in done.stderr.splitlines()), done.stderr


def test_a_fault_handler_that_was_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    assert faulthandler.is_enabled(), "by pytest"
    with without_chatter():
        pass
    assert faulthandler.is_enabled()
