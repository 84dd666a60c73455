"""A watcher asks run.json whose results they are; links and other slides' folders make nobody wait."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import tiny
from small_slide import draw_slide
from watch_bench import STILL, Bench

from her2edge import Model, Options, SlideRun, TileClassifier, classify_slide
from her2edge.errors import NotOursError, OutputError
from her2edge.results import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge.slide.fingerprint import WHOLE
from her2edge.watch import Event, SlideDone, SlideLeftAside, SlideSetAside, Watcher, WatchOptions
from her2edge_cli.exits import exit_code

links = pytest.mark.skipif(os.name != "posix", reason="links need rights here")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def classifier() -> TileClassifier:
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


def watched(root: Path, classifier: TileClassifier) -> list[Event]:
    """What `watch --once` tells of root/in, real work being done."""
    events: list[Event] = []

    def work(path: Path) -> SlideRun:
        return classify_slide(path, root / "out", classifier, mpp=tiny.MPP)

    options = WatchOptions(still_for=0)
    Watcher(root / "in", root / "out", work, events.append, options, exit_code=exit_code).run(once=True)
    return events


def put_two(root: Path, *names: str) -> None:
    (root / "in").mkdir()
    drawn = draw_slide(root / "drawn.png")
    for name in names:
        from PIL import Image

        with Image.open(drawn) as image:
            image.convert("RGB").save(root / "in" / name, format="TIFF")


def test_the_same_bytes_under_two_suffixes_are_both_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in ("case.tif", "case.svs"):
        bench.put(name, b"same")
    bench.wait(2 * STILL)
    assert sorted(bench.worked) == ["case.svs", "case.tif"]
    assert len(list(bench.out.glob("case.*/run.json"))) == 2
    bench.start()
    bench.wait(2 * STILL)
    assert len(bench.worked) == 2


def test_a_slide_whose_folder_is_another_slides_is_set_aside_with_the_code_of_classify(
    tmp_path: Path, classifier: TileClassifier
) -> None:
    put_two(tmp_path, "a_b.tif", "a b.tif")
    events = watched(tmp_path, classifier)
    (done,) = [event.run for event in events if isinstance(event, SlideDone)]
    (aside,) = [event.record for event in events if isinstance(event, SlideSetAside)]
    assert {done.name, aside.slide} == {"a_b.tif", "a b.tif"}
    assert aside.exit_code == 73
    assert "another slide" in aside.reason
    before = {path: path.read_bytes() for path in done.folder.iterdir()}
    (left,) = watched(tmp_path, classifier)[:-1]
    assert isinstance(left, SlideLeftAside), "both are settled, and one of them is named again"
    assert left.slide == aside.slide
    assert {path: path.read_bytes() for path in done.folder.iterdir()} == before


def test_results_of_another_slide_do_not_make_one_done(bench: Bench) -> None:
    path = bench.put("a.svs")
    folder = slide_folder(bench.out, path.name, fingerprint_slide(path))
    folder.mkdir(parents=True)
    for record in ("{}", json.dumps({"basis": {"slide": "b.svs", "fingerprint": fingerprint_slide(path)}})):
        (folder / "run.json").write_text(record)
        bench.worked.clear()
        bench.fail = lambda _name: NotOursError("another slide's")
        bench.start()
        bench.wait(2 * STILL)
        assert bench.worked == ["a.svs"]
        next((bench.out / "failed").iterdir()).unlink()


def test_results_of_former_days_make_a_slide_done(bench: Bench) -> None:
    path = bench.put("a.svs")
    folder = bench.out / f"a-{fingerprint_slide(path)[:8]}"
    folder.mkdir(parents=True)
    basis = {"slide": "a.svs", "fingerprint": fingerprint_slide(path)}
    (folder / "run.json").write_text(json.dumps({"basis": basis}))
    bench.wait(2 * STILL)
    assert bench.worked == []
    assert not bench.watcher.waiting


@pytest.mark.parametrize("end", ["done", "set aside"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_large_slide_that_is_written_again_with_an_equal_fingerprint_is_tried_again(
    bench: Bench, end: str, restart: bool
) -> None:
    path = bench.put("a.svs", b"\0" * (2 * WHOLE))
    before = fingerprint_slide(path)
    bench.fail = lambda name: None if end == "done" else NotOursError(f"{name}: no")
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs"]
    with path.open("r+b") as file:
        file.seek(70_000)
        file.write(b"1" * 1000)
    assert fingerprint_slide(path) == before
    if restart:
        bench.start()
    bench.fail = lambda _name: None
    bench.wait(3 * STILL)
    assert bench.worked == ["a.svs", "a.svs"]
    bench.start()
    bench.wait(3 * STILL)
    assert bench.worked == ["a.svs", "a.svs"]


def test_complete_slides_are_passed_over_where_nothing_can_be_written(
    tmp_path: Path, classifier: TileClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_two(tmp_path, "a.tif", "b.tif")
    watched(tmp_path, classifier)
    shutil.rmtree(tmp_path / "out" / ".watch")

    def refused(*_arguments: object, **_named: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "unlink", "replace", "touch"):
        monkeypatch.setattr(Path, name, refused)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert watched(tmp_path, classifier)[:-1] == []


@links
@pytest.mark.parametrize("ending", [".lock", ".json"])
@pytest.mark.parametrize("to", ["missing", "file", "folder", "pipe", "itself", "two names"])
def test_a_lock_or_record_that_is_a_link_makes_no_slide_wait_for_ever(
    bench: Bench, tmp_path: Path, ending: str, to: str
) -> None:
    path = bench.put("a.svs")
    there = tmp_path / "outside"
    if to in ("file", "two names"):
        there.write_text("precious")
    elif to == "folder":
        there.mkdir()
    elif to == "pipe":
        os.mkfifo(there)
    (bench.out / ".watch").mkdir(parents=True)
    name = slide_folder(bench.out, path.name, fingerprint_slide(path)).name + ending
    link = bench.out / ".watch" / name
    link.hardlink_to(there) if to == "two names" else link.symlink_to(link if to == "itself" else there)
    bench.wait(2 * STILL)
    assert not bench.watcher.waiting
    if ending == ".lock":
        (record,) = bench.set_aside()
        assert (record["exit_code"], bench.worked) == (73, [])
        assert "found a link" in record["reason"]
    else:
        assert bench.worked == ["a.svs"]
    assert {"file": there.is_file(), "folder": there.is_dir()}.get(to, True)
    assert to not in ("file", "two names") or there.read_text() == "precious"
    assert to != "folder" or list(there.iterdir()) == []
    assert to != "missing" or not there.exists()


@links
def test_a_slide_folder_that_is_a_link_is_set_aside_and_nothing_is_written_there(
    tmp_path: Path, classifier: TileClassifier
) -> None:
    put_two(tmp_path, "a.tif")
    path = tmp_path / "in" / "a.tif"
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    slide_folder(tmp_path / "out", path.name, fingerprint_slide(path)).symlink_to(tmp_path / "outside")
    (aside,) = [e.record for e in watched(tmp_path, classifier) if isinstance(e, SlideSetAside)]
    assert aside.exit_code == 73
    assert list((tmp_path / "outside").iterdir()) == []


@links
@pytest.mark.parametrize("name", [".watch", "failed"])
def test_a_folder_of_records_that_is_a_link_is_refused(bench: Bench, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    bench.out.mkdir()
    (bench.out / name).symlink_to(tmp_path / "outside")
    bench.put("a.svs")
    with pytest.raises(OutputError, match=f"{name}: found a link"):
        bench.watcher.run(once=True)
    bench.wait(2 * STILL)
    assert list((tmp_path / "outside").iterdir()) == []


@links
def test_a_pipe_in_the_place_of_what_is_known_does_not_stop_a_watcher(bench: Bench) -> None:
    bench.put("a.svs")
    bench.wait(2 * STILL)
    (known,) = (bench.out / ".watch").glob("known-*")
    known.unlink()
    os.mkfifo(known)
    bench.start()
    bench.put("b.svs", b"b")
    bench.wait(2 * STILL)
    assert bench.worked == ["a.svs", "b.svs"]


def test_two_copies_in_two_folders_are_done_once_each_whatever_restarts(bench: Bench) -> None:
    for folder in ("a", "b"):
        bench.put(f"{folder}/x.svs", bytes(WHOLE + 1))
    bench.wait(2 * STILL)
    assert bench.worked == ["x.svs", "x.svs"]
    for _ in range(2):
        bench.start()
        bench.wait(2 * STILL)
    assert bench.worked == ["x.svs", "x.svs"]


def test_a_small_slide_replaced_with_equal_size_and_time_is_looked_at_again(bench: Bench) -> None:
    path = bench.put("x.svs", b"one")
    stamp = path.stat()
    bench.wait(2 * STILL)
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    bench.start()
    bench.wait(2 * STILL)
    assert bench.worked == ["x.svs", "x.svs"]


def test_a_record_under_the_former_name_still_sets_its_slide_aside(bench: Bench) -> None:
    path = bench.put("x.svs", b"bad")
    fingerprint = fingerprint_slide(path)
    former = bench.out / "failed" / f"x-{fingerprint[:8]}.json"
    former.parent.mkdir(parents=True)
    former.write_text(json.dumps({"slide": "x.svs", "fingerprint": fingerprint, "reason": "it was bad"}))
    bench.wait(2 * STILL)
    assert bench.worked == []
    former.unlink()
    bench.start()
    bench.wait(2 * STILL)
    assert bench.worked == ["x.svs"]


def test_a_wait_that_doubles_for_weeks_stays_an_hour() -> None:
    assert WatchOptions().after(5000) == WatchOptions().after(20) <= 3600
