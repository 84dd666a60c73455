"""Whoever is killed, a worker, the scheduler or the driver: no row is lost and none doubled."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from small_slide import draw_slide

from her2edge.cohort import read_cohort
from her2edge.shards import collect
from her2edge_cli.main import main

psutil = pytest.importorskip("psutil", reason="needs the extra cluster")
pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="kills are POSIX")]
SOAK = pytest.mark.soak
SLIDES = 8
VICTIMS = ("worker", "driver", "scheduler")
MODEL = ("--model", str(tiny.INT8), "--mpp", str(tiny.MPP), "--threads", "1")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """A list, and the rows of an undisturbed run in one process."""
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(SLIDES):
        draw_slide(folder / f"s{number}.png", 20 + number, 12)
    listed = folder / "list.csv"
    listed.write_text("slide,patient\n" + "".join(f"s{number}.png,P{number}\n" for number in range(SLIDES)))
    assert main(["cohort", str(listed), "--out", str(folder / "whole"), *MODEL]) == 0
    return listed, rows(folder / "whole", listed)


def rows(out: Path, listed: Path) -> list[dict[str, str]]:
    """The table, without the time of each run."""
    collected = collect(out, read_cohort(listed))
    assert not collected.problems
    table = csv.DictReader(io.StringIO(collected.path.read_text("utf-8-sig")))
    return [{name: cell for name, cell in row.items() if name != "started"} for row in table]


def finished(out: Path) -> int:
    return len(list(out.glob("*/run.json")))


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """A Python program, leader of its own group of processes."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def cluster(folder: Path) -> tuple[list[subprocess.Popen[bytes]], str]:
    """A scheduler and two workers; the scheduler first."""
    file = folder / "scheduler.json"
    own = ("--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard")
    scheduler = start("-m", "distributed.cli.dask_scheduler", *own, "--port", "0")
    until(lambda: file.exists(), [scheduler])
    one = ("--nthreads", "1", "--local-directory", folder)
    workers = [start("-m", "distributed.cli.dask_worker", *own, *one) for _ in range(2)]
    found = re.search(r'"address": "([^"]+)"', file.read_text())
    assert found
    return [scheduler, *workers], found[1]


def until(true: Callable[[], bool], alive: list[subprocess.Popen[bytes]], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true() and all(one.poll() is None for one in alive):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


def kill(victim: str, driver: subprocess.Popen[bytes], own: list[subprocess.Popen[bytes]]) -> None:
    """End one of them at once; a worker: what a driver or a worker's nanny has started."""
    if victim == "worker":
        parents = [psutil.Process(one.pid) for one in (own[1:] or [driver])]
        children = [child for parent in parents for child in parent.children(recursive=True)]
        workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        for one in workers[:1]:
            one.kill()
        return
    (driver if victim == "driver" else own[0]).kill()


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=SOAK)])
def test_killed_at_any_moment_the_next_run_does_what_is_missing_to_the_rows_of_an_undisturbed_one(
    cohort: tuple[Path, Any], tmp_path: Path, times: int, record_property: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    listed, whole = cohort
    chance, in_the_middle = random.Random(times), 0  # noqa: S311 - the same in every run
    for number in range(times):
        out, victim = tmp_path / f"out-{number}", VICTIMS[number % len(VICTIMS)]
        own, more = cluster(tmp_path) if victim == "scheduler" else ([], "")
        scheduler = ["--scheduler", more] if more else ["--workers", "2"]
        driver = start(
            "-m", "her2edge_cli", "cohort", listed, "--out", out, *MODEL, "--engine", "dask", *scheduler
        )
        try:
            wanted = chance.randrange(SLIDES)
            until(lambda out=out, wanted=wanted: finished(out) >= wanted, [driver])
            time.sleep(chance.uniform(0, 0.3))
            kill(victim, driver, own)
            code = driver.wait(300)
        finally:
            for one in (*own, driver):  # and what they have started
                if victim != "driver" or one is not driver:
                    one.kill()
                one.wait()
        before = finished(out)
        in_the_middle += 0 < before < SLIDES
        if victim == "worker":
            assert (code, before) == (0, SLIDES), "another worker does what the dead one had"
        elif victim == "scheduler" and before < SLIDES:
            assert code == 1 or (code, before) == (78, 0), "78: it went before the driver had found it"
        capsys.readouterr()
        assert main(["cohort", str(listed), "--out", str(out), *MODEL]) == 0
        told = re.search(r"\d+ done(?: \((\d+) before\))?", capsys.readouterr().err)
        assert told
        assert int(told[1] or 0) >= before, "no finished slide is begun again"
        assert rows(out, listed) == whole
        (tmp_path / "scheduler.json").unlink(missing_ok=True)
    record_property("figure", f"{times} of {times}, {in_the_middle} in the middle of the cohort")


def test_a_driver_killed_in_the_middle_leaves_what_was_done_and_a_second_one_begins_the_rest_only(
    cohort: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no engine: one process, killed; counted by slides begun, each of which is a line of its own."""
    listed, whole = cohort
    out = tmp_path / "out"
    driver = start("-m", "her2edge_cli", "cohort", listed, "--out", out, *MODEL)
    until(lambda: finished(out) >= 3, [driver])
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = finished(out)
    assert 3 <= before < SLIDES
    capsys.readouterr()
    assert main(["cohort", str(listed), "--out", str(out), *MODEL]) == 0
    printed = capsys.readouterr()
    begun = [line for line in printed.out.splitlines() if re.match(r"s\d\.png of patient", line)]
    assert len(begun) == SLIDES - before
    assert f"{SLIDES} done ({before} before)" in printed.err
    assert rows(out, listed) == whole


def test_two_commands_over_the_same_list_share_it_and_begin_no_slide_twice(
    cohort: tuple[Path, Any], tmp_path: Path
) -> None:
    listed, whole = cohort
    out = tmp_path / "out"
    command = [sys.executable, "-m", "her2edge_cli", "cohort", str(listed), "--out", str(out), *MODEL]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [one.communicate(timeout=600)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    lines = [line for text in told for line in text.splitlines()]
    begun = [line.split(" ")[0] for line in lines if re.match(r"s\d\.png of ", line)]
    assert sorted(begun) == sorted(f"s{number}.png" for number in range(SLIDES))
    assert rows(out, listed) == whole
