"""Killed, terminated and interrupted at any moment, a classify goes on to the files of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import kills
import numpy as np
import pytest
from small_slide import arguments, classify, draw_slide, files_of, folder_of

TILES = 60
SOAK = (pytest.mark.soak, pytest.mark.slow)
MORE = ("--stain", "slide")
WHOLE = {"heatmap.png", "stain.json", "summary.json", "tiles.csv", "tiles.geojson"}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A slide, and the files of an undisturbed run in a child."""
    folder = tmp_path_factory.mktemp("slide")
    path = draw_slide(folder / "slide.png", 10, 6)
    child = kills.start(arguments(path, folder / "whole", *MORE), folder / "log")
    child.join(120)
    assert child.exitcode == 0
    assert kills.answered(folder / "log") == TILES
    return path, files_of(folder / "whole")


def moments(chance: random.Random, times: int) -> Iterator[tuple[int, float]]:
    """(tiles, seconds) to wait for: half of them among the tiles, the others before, and among the files."""
    for number in range(times):
        if number % 2 == 0:
            yield chance.randrange(1, TILES), chance.uniform(0, 2 * kills.PAUSE)
        else:
            yield (0, TILES)[number // 2 % 2], chance.uniform(0, 0.3)


def resumed(out: Path) -> int:
    """As run.json says."""
    return json.loads((folder_of(out) / "run.json").read_text())["resumed"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=SOAK)])
def test_kill_minus_nine_at_any_moment_costs_at_most_a_batch(
    slide: Any, tmp_path: Path, times: int, record_property: Any
) -> None:
    path, whole = slide
    chance = random.Random(times)  # noqa: S311 - the same in every run
    in_the_middle = 0
    for number, (tiles, after) in enumerate(moments(chance, times)):
        out, log = tmp_path / f"out-{number}", tmp_path / f"{number}.log"
        child = kills.start(arguments(path, out, *MORE), log)
        kills.stop(child, log, tiles, after, signal.SIGKILL)
        assert child.exitcode in (-signal.SIGKILL, 0)
        complete = out.exists() and (folder_of(out) / "run.json").exists()
        if out.exists():
            for name, data in files_of(out).items():
                assert name.startswith(".") or data == whole[name], f"{name} is neither whole nor absent"
        before = kills.answered(log)
        assert classify(path, out, *MORE) == 0
        assert files_of(out) == whole
        assert set(whole) == WHOLE
        if not complete:
            assert before - resumed(out) <= kills.BATCH
            in_the_middle += 0 < resumed(out) < TILES
    assert in_the_middle >= times // 4
    record_property("figure", f"{times} of {times}, {in_the_middle} in the middle of the slide")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("times", [2, pytest.param(50, marks=SOAK)])
def test_a_signal_ends_a_run_within_five_seconds_and_loses_nothing(
    slide: Any, tmp_path: Path, times: int, number: signal.Signals, record_property: Any
) -> None:
    path, whole = slide
    chance, longest = random.Random(times), 0.0  # noqa: S311 - the same in every run
    for turn in range(times):
        out, log = tmp_path / f"out-{turn}", tmp_path / f"{turn}.log"
        child = kills.start(arguments(path, out, *MORE), log)
        wanted = chance.randrange(1, TILES - 20)
        longest = max(longest, kills.stop(child, log, wanted, chance.uniform(0, 2 * kills.PAUSE), number))
        assert longest < 5
        assert child.exitcode == (143 if number == signal.SIGTERM else 130)
        before = kills.answered(log)
        assert classify(path, out, *MORE) == 0
        assert files_of(out) == whole
        assert wanted <= before
        assert before <= resumed(out) <= before + 1  # the log comes after the journal
    record_property("figure", f"{number.name}: {times} of {times}, over within {longest:.2f} s")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_itself_says_what_it_keeps_when_it_is_stopped(
    slide: Any, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The installed command's own way, in a process that nothing was done to."""
    slow = tmp_path / "slow.png"
    cv2.imwrite(str(slow), np.tile(cv2.imread(str(slide[0])), (6, 4, 1)))
    command = [sys.executable, "-m", "her2edge_cli", *arguments(slow, tmp_path / "out", *MORE)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list((tmp_path / "out").glob("*/.journal.sqlite3-wal")):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(number)
        begun = time.monotonic()
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, time.monotonic() - begun < 5) == (code, True), stderr
    assert f"of {TILES * 24} tiles are kept: run again to resume" in stderr
    assert "Traceback" not in stderr
