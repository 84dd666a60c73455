"""A folder that a scanner drops slides into: each is done once, none is lost, none is tried for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shared_data import SUPPORT
from watch_bench import STILL, Bench

from her2edge import SlideRun, watch
from her2edge.claim import claim
from her2edge.errors import MissingInputError, OptionError, SlideError, SlideReadError
from her2edge.results import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge.watch import FolderGone, Looked, SlideLeftAside, SlideSetAside, Watcher, WatchOptions


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_slide_is_done_once_and_only_when_it_has_stopped_growing(bench: Bench) -> None:
    path = bench.put("a.svs", b"1")
    for part in range(4):
        bench.wait(STILL - 5)
        assert bench.worked == []
        assert bench.watcher.waiting
        path.write_bytes(b"1" * (part + 2))
    bench.wait(STILL)
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
    bench.wait(STILL)
    assert bench.worked == ["a.svs"]


def test_a_clock_that_jumps_by_twenty_years_changes_nothing(bench: Bench) -> None:
    for name, when in (("old.svs", 0), ("future.svs", 4_000_000_000)):
        os.utime(bench.put(name), (when, when))
    bench.wait(STILL)
    assert sorted(bench.worked) == ["future.svs", "old.svs"]


def test_hidden_empty_and_foreign_files_and_the_results_themselves_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, out="in/results")
    for name in (".a.svs", ".hidden/b.svs", "macro.jpg", "case.xml", "results/c.svs"):
        bench.put(name)
    bench.put("empty.svs", b"")
    bench.put("case 7/d.SVS")
    bench.wait(3 * STILL)
    assert bench.worked == ["d.SVS"]


def test_an_mrxs_arrives_when_the_folder_beside_it_has(bench: Bench) -> None:
    bench.put("a.mrxs")
    for part in range(4):
        bench.put(f"a/Data{part}.dat")
        bench.wait(STILL - 5)
    assert bench.worked == []
    bench.wait(STILL)
    assert bench.worked == ["a.mrxs"]


def test_what_was_done_before_a_restart_is_not_done_again(bench: Bench) -> None:
    bench.put("a.svs")
    bench.wait(STILL)
    bench.start()
    bench.put("b.svs", b"another")
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs", "b.svs"]


def test_a_slide_that_is_written_again_is_another_slide(bench: Bench) -> None:
    bench.put("a.svs", b"first")
    bench.wait(STILL)
    bench.put("a.svs", b"second scan")
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs", "a.svs"]
    assert len([one for one in bench.out.iterdir() if one.name.startswith("a.svs-")]) == 2


def test_a_slide_that_cannot_be_read_is_tried_again_later_and_later_then_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=3, wait=40.0)
    bench.fail = lambda name: SlideReadError(f"{name}: broken") if name == "bad.svs" else None
    bench.put("bad.svs")
    bench.put("good.svs", b"good")
    bench.wait(STILL)
    assert sorted(bench.worked) == ["bad.svs", "good.svs"]  # nobody waits for it
    tries = []
    for _ in range(200):
        before = len(bench.worked)
        bench.wait(0)
        bench.clock.now += 5
        if len(bench.worked) > before:
            tries.append(bench.clock.now - 1000)
    assert len(tries) == 3
    gaps = [b - a for a, b in zip([STILL, *tries], tries, strict=False)]
    assert 40 <= gaps[0] < 60 <= 80 <= gaps[1] < 100 < 160 <= gaps[2] < 180
    (record,) = bench.set_aside()
    assert (record["slide"], record["attempts"], record["exit_code"]) == ("bad.svs", 4, 65)
    assert record["reason"] == "bad.svs: broken"
    assert [one.slide for one in bench.aside] == ["bad.svs"]
    assert "Research use only" in record["notice"]
    assert bench.events[-1] == SlideSetAside(bench.aside[0], next((bench.out / "failed").iterdir()).name)
    bench.start()
    bench.events.clear()
    bench.wait(10_000, step=100)
    assert bench.worked.count("bad.svs") == 4  # not after a restart either
    told = [event for event in bench.events if not isinstance(event, Looked)]
    assert told == [SlideLeftAside("bad.svs", next((bench.out / "failed").iterdir()).name)], "said once"
    (bench.out / "failed" / next((bench.out / "failed").iterdir()).name).unlink()
    bench.fail = lambda _name: None
    bench.start()
    bench.wait(2 * STILL)
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


def test_an_interruption_is_not_counted_against_the_slide(bench: Bench) -> None:
    bench.fail = lambda _name: KeyboardInterrupt()
    bench.put("a.svs")
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            bench.wait(2 * STILL)
        bench.start()
    bench.fail = lambda _name: None
    bench.wait(2 * STILL)
    assert bench.worked[-1] == "a.svs"
    assert bench.set_aside() == []
    assert bench.watcher.waiting == 0


def test_a_slide_that_kills_the_process_each_time_is_set_aside(tmp_path: Path) -> None:
    """As a native library may; a service manager starts the watcher anew, which must not go on for ever."""
    script = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from watch_bench import STILL, Bench
bench = Bench(Path(sys.argv[1]), retries=2)
bench.fail = lambda name: os._exit(139)
bench.wait(2 * STILL)
"""
    Bench(tmp_path).put("a.svs")
    here = str(SUPPORT)
    codes = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path), here], check=False).returncode
        for _ in range(4)
    ]
    assert codes == [139, 139, 139, 0]
    (record,) = Bench(tmp_path).set_aside()
    assert record["attempts"] == 3
    assert "the process ended before the slide was finished" in record["reason"]


def test_a_slide_is_claimed_by_one_of_several_watchers(bench: Bench) -> None:
    path = bench.put("a.svs")
    name = slide_folder(bench.out, path.name, fingerprint_slide(path)).name
    (bench.out / ".watch").mkdir(parents=True)
    with claim(bench.out / ".watch" / f"{name}.lock"):
        bench.wait(300)
        assert bench.worked == []
    bench.wait(60)
    assert bench.worked == ["a.svs"]
    (known,) = (bench.out / ".watch").iterdir()  # nothing piles up
    assert known.name.startswith("known-")


def test_a_slide_that_goes_away_is_forgotten_and_a_folder_that_does_is_an_error(bench: Bench) -> None:
    bench.fail = lambda name: SlideReadError(f"{name}: broken")
    path = bench.put("a.svs")
    bench.wait(STILL)
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
    bench.wait(STILL)
    assert bench.worked == ["a.svs"]


def test_once_ends_when_every_slide_is_done_or_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=1)
    bench.fail = lambda name: SlideReadError(f"{name}: broken") if name == "bad.svs" else None
    bench.put("bad.svs")
    bench.put("good.svs", b"good")
    bench.watcher.run(once=True)
    assert sorted(bench.worked) == ["bad.svs", "bad.svs", "good.svs"]
    assert [one.slide for one in bench.aside] == ["bad.svs"]
    assert bench.events[-1] == Looked(0, slides=2)


def test_a_folder_that_goes_away_while_it_is_watched_is_waited_for_and_told_of_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.put("a.svs")
    away = tmp_path / "away"

    def sleep(seconds: float) -> None:
        bench.clock.now += seconds
        if bench.clock.now > 1100:
            raise KeyboardInterrupt
        if bench.folder.exists() and 1020 < bench.clock.now < 1040:
            bench.folder.rename(away)
        elif away.exists() and bench.clock.now > 1060:
            away.rename(bench.folder)
            bench.put("b.svs", b"b")

    bench.around = {"sleep": sleep}
    bench.start()
    with pytest.raises(KeyboardInterrupt):
        bench.watcher.run()
    assert bench.worked == ["a.svs", "b.svs"]
    (gone,) = [event for event in bench.events if isinstance(event, FolderGone)]
    assert "no such folder" in str(gone.error)


def test_slides_and_results_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="for both slides and results"):
        Watcher(tmp_path, tmp_path / "." / "", lambda path: None)


@pytest.mark.parametrize("wrong", [{"still_for": -1}, {"retries": 1.5}, {"wait": 0}, {"poll": float("nan")}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        WatchOptions(**wrong)  # type: ignore[arg-type]


def test_without_codes_of_the_callers_a_record_has_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.svs").write_bytes(b"slide")

    def work(path: Path) -> SlideRun:
        raise SlideError(f"{path.name}: no um per pixel")

    Watcher(tmp_path / "in", tmp_path / "out", work, options=WatchOptions(still_for=0)).run(once=True)
    (record,) = (tmp_path / "out" / "failed").iterdir()
    assert json.loads(record.read_text())["exit_code"] is None


def test_the_public_names_of_the_room_are_complete() -> None:
    public = {
        name for name, value in vars(watch).items() if name[0] != "_" and not isinstance(value, type(watch))
    }
    assert sorted(watch.__all__) == watch.__all__
    assert public == set(watch.__all__)
