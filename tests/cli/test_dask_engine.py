"""Dask hands out slides: local processes here, real ones; what dies costs a try, and no row."""

from __future__ import annotations

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_jobs
import pytest
import tiny
from small_slide import draw_slide

from her2edge.cohort import CohortSlide, read_cohort
from her2edge.errors import RuntimeUnavailable
from her2edge.shards import Outcome, collect, outcomes
from her2edge_cli.dask_engine import dask_engine
from her2edge_cli.main import main
from her2edge_cli.options import Choices, load_reading
from her2edge_cli.slide_job import setup_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="kills are POSIX")]
pytest.importorskip("distributed", reason="needs the extra cluster")
NAMES = ("a.png", "poison.png", "b.png", "c.png", "d.png")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        draw_slide(tmp_path / name, 2 + number, 2)
    (tmp_path / "list.csv").write_text("slide\n" + "".join(f"{name}\n" for name in NAMES))
    return tmp_path / "list.csv"


def setup(out: Path, retries: int = 2) -> dict[str, Any]:
    choices = Choices(
        out=out, model=tiny.INT8, mpp=tiny.MPP, stain=None, threads=1, interpreters=None, runtime="litert",
        min_tissue_tiles=10, until_settled=False, error=None, max_tiles=None, isolate=False, as_json=False,
        metrics=None,
    )  # fmt: skip
    return setup_of(load_reading(choices), retries)


def done_by(slides: list[CohortSlide], engine: Any) -> dict[str, Outcome]:
    return {one.slide.name: one for one in outcomes(engine, slides)}


def shows_a_page(port: int) -> bool:
    """Whether a server there has Dask's pages or figures."""
    for page in ("status", "info/main/workers.html", "metrics", "json/counts.json"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10):
                return True
        except OSError:  # nobody there, or not found
            continue
    return False


@contextlib.contextmanager
def sockets() -> Iterator[list[tuple[str, int]]]:
    """Where this process and its children listened, filled when the block ends."""
    import psutil

    own = {one.laddr.port for one in psutil.Process().net_connections("inet") if one.status == "LISTEN"}
    there: list[tuple[str, int]] = []
    yield there
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        there += [
            (one.laddr.ip, one.laddr.port)
            for one in process.net_connections("inet")
            if one.status == "LISTEN" and one.laddr.port not in own
        ]


def test_a_slide_that_kills_its_worker_is_set_aside_the_others_are_done_and_only_this_machine_is_heard(
    listed: Path,
) -> None:
    out = listed.parent / "out"
    slides = list(read_cohort(listed))
    with dask_engine(setup(out), None, 2, dask_jobs.poisoned) as engine, sockets() as there:
        found = done_by(slides, engine)
        pages = list(filter(shows_a_page, range(8787, 8790)))
    assert {name for name, one in found.items() if one.run is not None} == set(NAMES) - {"poison.png"}
    aside = found["poison.png"].aside
    assert aside is not None
    assert aside.attempts == 3
    assert {place for place, _ in there} == {"127.0.0.1"}
    assert pages == [], "no dashboard"
    states = collect(out, read_cohort(listed)).states
    assert states == {"done": 4, "set aside": 1}


def test_a_worker_of_another_version_ends_the_run_by_name(listed: Path) -> None:
    out = listed.parent / "out"
    slides = list(read_cohort(listed))
    with dask_engine(setup(out) | {"version": "0.0.9"}, None, 1) as engine:
        (refused,) = done_by(slides, engine).values()
    assert (refused.exit_code, refused.ends) == (78, True)
    assert "expected 0.0.9" in refused.reason
    with dask_engine(setup(out), None, 1, dask_jobs.missing) as engine:
        (refused,) = done_by(slides, engine).values()
    assert (refused.exit_code, refused.ends) == (1, True)
    assert "the cluster has stopped (ModuleNotFoundError" in refused.reason
    assert not out.exists()


def test_a_scheduler_that_is_not_there_is_said_and_no_slide_is_begun(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cohort", str(listed), "--out", str(listed.parent / "out"), "--model", str(tiny.INT8)]
    assert main([*command, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"]) == 78
    said = capsys.readouterr().err
    assert "found no Dask scheduler at tcp://127.0.0.1:9" in said
    assert "Traceback" not in said
    assert [path.name for path in (listed.parent / "out").iterdir()] == [".cohort"]
    for address in ("nonsense://x", "head"):
        with (
            pytest.raises(RuntimeUnavailable, match="found no Dask scheduler"),
            dask_engine(setup(listed.parent / "out"), address, 1),
        ):
            raise AssertionError


def test_the_command_makes_what_one_process_makes(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, many = listed.parent / "one", listed.parent / "many"
    fixed = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    assert main(["cohort", str(listed), "--out", str(one), *fixed, "--threads", "1"]) == 0
    assert (
        main(["cohort", str(listed), "--out", str(many), *fixed, "--engine", "dask", "--workers", "2"]) == 0
    )
    assert "5 done" in capsys.readouterr().err
    for path in one.glob("*-*/*"):
        if path.name != "run.json":
            assert (many / path.relative_to(one)).read_bytes() == path.read_bytes()


def test_without_the_extra_it_says_what_to_install(
    listed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["cohort", str(listed), "--out", str(listed.parent / "out"), "--model", str(tiny.INT8)]
    assert main([*command, "--engine", "dask"]) == 78
    said = capsys.readouterr().err
    assert 'pip install "her2edge[cluster]"' in said
    assert "--engine local" in said
