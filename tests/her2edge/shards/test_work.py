"""One slide of a cohort: done once, whatever dies; a bad one costs itself and nothing else."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from shard_bench import ShardBench, draw
from small_slide import contents

from her2edge.attempts import Attempts
from her2edge.errors import (
    Her2EdgeError,
    InferenceError,
    OptionError,
    OutputWriteError,
    RuntimeUnavailable,
    SlideError,
    SlideReadError,
    TakenError,
)
from her2edge.results import slide_folder
from her2edge.shards import Outcome, outcomes
from her2edge.slide import fingerprint_slide


@pytest.fixture
def bench(tmp_path: Path) -> ShardBench:
    return ShardBench(tmp_path, "a.png", "b.png")


def killed(bench: ShardBench, name: str) -> None:
    """The work on a slide ends its process, as a decoder that crashes does."""
    child = os.fork()
    if child == 0:
        bench.fail = lambda one: os.kill(os.getpid(), signal.SIGKILL) if one == name else None
        try:
            bench.run()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_slide_that_has_its_results_is_not_begun_again_and_they_are_told(bench: ShardBench) -> None:
    first, again = bench.run(), bench.run()
    assert bench.worked == ["a.png", "b.png"]
    for name, outcome in first.items():
        before = again[name].run
        assert outcome.run is not None
        assert before is not None
        assert (before.complete_before, before.answer) == (True, outcome.run.answer)
        assert before.folder == outcome.run.folder
        assert again[name].exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="fork and signals are POSIX")
def test_a_slide_that_kills_its_process_is_set_aside_after_its_tries_and_the_others_are_done(
    bench: ShardBench,
) -> None:
    for _ in range(3):
        killed(bench, "a.png")
    found = bench.run()
    assert bench.worked == ["b.png"]
    assert found["b.png"].run is not None
    assert found["a.png"].aside is not None
    assert (found["a.png"].aside.attempts, found["a.png"].exit_code) == (3, 1)
    assert found["a.png"].reason.startswith("started 3 times; each time the process ended")
    (record,) = (bench.out / "failed").iterdir()
    assert found["a.png"].file == record.name
    assert bench.run()["a.png"].aside == found["a.png"].aside  # by what the disk says
    record.unlink()
    assert bench.run()["a.png"].run is not None  # tried anew


def test_a_failure_that_may_pass_is_tried_again_by_later_runs_a_few_times(bench: ShardBench) -> None:
    bench.fail = lambda name: SlideReadError(f"{name}: the share hung") if name == "a.png" else None
    first, second, third = (bench.run() for _ in range(3))
    assert "a.png: the share hung (try 1 of 3" in first["a.png"].reason
    assert first["a.png"].aside is second["a.png"].aside is None
    assert third["a.png"].aside is not None
    assert (third["a.png"].reason, third["a.png"].exit_code) == ("a.png: the share hung", 65)
    assert bench.worked.count("a.png") == 3
    assert bench.worked.count("b.png") == 1


def test_a_failure_that_passed_is_forgotten(bench: ShardBench) -> None:
    for error in (SlideReadError("hung"), InferenceError("short of memory")):
        bench.fail = lambda _name, error=error: error
        bench.run()
    bench.fail = lambda _name: None
    assert all(one.run is not None for one in bench.run().values())
    assert not list((bench.out / ".watch").iterdir())


def test_what_no_second_try_can_help_is_set_aside_at_once(bench: ShardBench) -> None:
    bench.fail = lambda name: SlideError(f"{name}: states no um per pixel") if name == "a.png" else None
    found = bench.run()
    assert found["a.png"].aside is not None
    assert found["a.png"].exit_code == 65
    assert found["b.png"].run is not None


def test_a_slide_that_is_gone_costs_no_other_and_counts_for_nothing(bench: ShardBench) -> None:
    (bench.root / "a.png").unlink()
    found = bench.run()
    assert (found["a.png"].exit_code, found["a.png"].ends) == (66, False)
    assert found["a.png"].reason.startswith("a.png (row 2): no such slide")
    assert found["b.png"].run is not None
    assert not (bench.out / "failed").exists()
    draw(bench.root / "a.png", 0)
    assert bench.run()["a.png"].run is not None


def test_results_of_another_model_are_refused_and_left_alone(bench: ShardBench) -> None:
    bench.run()
    before = contents(bench.out)
    other = ShardBench(bench.root, "a.png", "b.png", "c.png", model="ab" * 32)
    found = other.run()
    for name in ("a.png", "b.png"):
        assert "results of another model" in found[name].reason
        assert (found[name].exit_code, found[name].ends) == (65, False)
    assert other.worked == ["c.png"]
    assert {path: data for path, data in contents(bench.out).items() if path in before} == before


def test_damaged_results_are_made_again(bench: ShardBench) -> None:
    folder = bench.run()["a.png"].run.folder  # type: ignore[union-attr]
    (folder / "summary.json").write_text("{}")
    assert bench.run()["a.png"].run is not None
    assert bench.worked == ["a.png", "b.png", "a.png"]
    json.loads((folder / "summary.json").read_text())["answer"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutputWriteError("disk full"), 74),
        (RuntimeUnavailable("no OpenSlide"), 78),
        (OptionError("mpp 99"), 2),
    ],
)
def test_what_would_be_so_for_every_slide_ends_the_run_and_counts_against_none(
    bench: ShardBench, error: Her2EdgeError, code: int
) -> None:
    bench.fail = lambda _name: error
    told = list(outcomes(lambda slides: map(bench.work(), slides), bench.slides))
    assert [(one.slide.name, one.exit_code, one.ends) for one in told] == [("a.png", code, True)]
    assert bench.worked == ["a.png"]
    bench.fail = lambda _name: None
    assert all(one.run is not None for one in bench.run(retries=0).values())


def test_an_interruption_counts_against_no_slide(bench: ShardBench) -> None:
    for _ in range(5):
        bench.fail = lambda _name: KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    bench.fail = lambda _name: None
    assert all(one.run is not None for one in bench.run().values())


def test_a_results_folder_that_is_a_link_costs_its_slide_only(bench: ShardBench, tmp_path: Path) -> None:
    folder = slide_folder(bench.out, "a.png", fingerprint_slide(bench.root / "a.png"))
    bench.out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (bench.out / "failed").mkdir()
    (bench.out / ".watch").mkdir()
    lock = bench.out / ".watch" / f"{folder.name}.lock"
    lock.symlink_to(tmp_path / "other")
    found = bench.run()
    assert found["b.png"].run is not None
    assert (found["a.png"].exit_code, found["a.png"].ends) == (73, False)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_slide_that_another_process_is_at_is_done_when_that_one_lets_go(bench: ShardBench) -> None:
    attempts = Attempts(bench.out, "a.png", fingerprint_slide(bench.root / "a.png"))
    naps: list[float] = []
    with attempts.claim() as mine:
        assert mine
        busy = bench.work()(bench.slides[0])
        assert (busy.busy, busy.exit_code, busy.run) == (True, 73, None)
        held = attempts.claim()

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            held.__exit__(None, None, None)

    assert held.__enter__()
    told = list(outcomes(lambda slides: map(bench.work(), slides), bench.slides, sleep=sleep))
    assert [one.slide.name for one in told] == ["b.png", "a.png"]
    assert all(one.run is not None for one in told)
    assert len(naps) == 3


def test_one_that_never_lets_go_is_told_and_waited_for_no_longer_than_patience(bench: ShardBench) -> None:
    """Where a file system has no locks, a killed process' lock stays."""
    bench.fail = lambda name: TakenError("another her2edge is at work there") if name == "a.png" else None
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    told = list(
        outcomes(
            lambda slides: map(bench.work(), slides),
            bench.slides,
            patience=60,
            clock=lambda: now[0],
            sleep=sleep,
        )
    )
    assert [(one.slide.name, one.busy) for one in told] == [("b.png", False), ("a.png", True)]
    assert 60 <= now[0] < 70
    assert not (bench.out / "failed").exists()


def test_patience_begins_anew_whenever_one_gets_done() -> None:
    """A slide takes longer than that: as long as the other process ends slides, it is alive."""
    from her2edge.cohort import CohortSlide

    slides = [CohortSlide(Path(f"{number}.png"), number) for number in range(5)]
    now = [0.0]

    def engine(waiting: list[CohortSlide]) -> list[Outcome]:
        done = waiting[0].row if now[0] >= 50 * (waiting[0].row + 1) else None
        return [Outcome(one, busy=one.row != done) for one in waiting]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    told = list(outcomes(engine, slides, patience=60, clock=lambda: now[0], sleep=sleep))
    assert [one.slide.row for one in told] == [0, 1, 2, 3, 4]
    assert not any(one.busy for one in told)
