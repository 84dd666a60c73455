"""tiles.geojson.gz on request: the same bytes packed, and finished results are packed where they lie."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import os
from pathlib import Path

import pytest
import small_slide
import tiny

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.alone import alone_in
from her2edge.errors import OptionError, OutputError, TakenError
from her2edge.regions.unpack import read_export
from her2edge.results.finished import Finished, read_stored
from her2edge.results.packed import pack_former
from her2edge.results.read_back import read_results

PLAIN, PACKED = "tiles.geojson", "tiles.geojson.gz"


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return small_slide.draw_slide(tmp_path_factory.mktemp("slide") / "slide.png", 4, 3)


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


def classify(slide, out, classifier, **options):
    return classify_slide(slide, out, classifier, mpp=tiny.MPP, **options)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def plain(slide, tmp_path, classifier):
    """A finished slide with a plain file."""
    return classify(slide, tmp_path / "out", classifier)


def test_it_stands_in_place_of_the_plain_file_and_holds_the_same_bytes(slide, tmp_path, classifier, plain):
    run = classify(slide, tmp_path / "packed", classifier, gzip_geojson=True)
    names = [path.name for path in plain.files]
    assert [path.name for path in run.files] == [PACKED if name == PLAIN else name for name in names]
    now, before = files_of(run.folder), files_of(plain.folder)
    assert gzip.decompress(now.pop(PACKED)) == before.pop(PLAIN)
    for name in set(before) - {"run.json"}:
        assert now[name] == before[name], name
    assert set(now) == set(before)


def test_it_is_the_same_bytes_again_without_a_name_or_a_time(slide, tmp_path, classifier):
    packed = [
        (classify(slide, tmp_path / name, classifier, gzip_geojson=True).folder / PACKED).read_bytes()
        for name in "ab"
    ]
    assert packed[0] == packed[1]
    assert packed[0][:3] == b"\x1f\x8b\x08"
    assert packed[0][3] == 0, "no name of a file"
    assert packed[0][4:8] == bytes(4), "no time"


def test_our_own_readers_take_it_as_any_export(slide, tmp_path, classifier):
    run = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    assert json.loads(read_export(run.folder / PACKED, OutputError))["type"] == "FeatureCollection"
    assert read_results(run.folder).name == "slide.png"
    assert read_stored(run.folder).basis.slide == "slide.png"


@pytest.mark.parametrize("asked", [True, False])
def test_finished_results_with_a_packed_file_are_complete_whatever_is_asked(
    slide, tmp_path, classifier, asked
):
    made = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    before = files_of(made.folder)
    again = classify(slide, tmp_path / "out", classifier, gzip_geojson=asked)
    assert again.complete_before
    assert again.files == made.files
    assert files_of(made.folder) == before


def test_a_packed_file_that_was_changed_is_not_taken_for_complete(slide, tmp_path, classifier):
    made = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    (made.folder / PACKED).write_bytes(gzip.compress(b"{}"))
    assert not classify(slide, tmp_path / "out", classifier, gzip_geojson=True).complete_before


def test_a_finished_slide_is_packed_in_place_and_no_tile_is_read(slide, tmp_path, classifier, plain, caplog):
    before, progress = files_of(plain.folder), []
    with caplog.at_level(logging.INFO, "her2edge"):
        run = classify(
            slide, tmp_path / "out", classifier, gzip_geojson=True, progress=lambda *now: progress.append(now)
        )
    assert run.complete_before
    assert not progress
    assert "is packed" in caplog.text
    now = files_of(run.folder)
    assert gzip.decompress(now.pop(PACKED)) == before.pop(PLAIN)
    stated, former = json.loads(now.pop("run.json")), json.loads(before.pop("run.json"))
    assert now == before
    assert list(stated["files"]) == [PACKED if name == PLAIN else name for name in former["files"]]
    assert stated | {"files": None} == former | {"files": None}
    assert [path.name for path in run.files] == [*stated["files"], "run.json"]
    assert classify(slide, tmp_path / "out", classifier).complete_before


def test_results_made_again_leave_no_file_of_the_other_form(slide, tmp_path, classifier, plain):
    run = classify(slide, tmp_path / "out", classifier, gzip_geojson=True, fresh=True)
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in run.files}
    run = classify(slide, tmp_path / "out", classifier, fresh=True)
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in run.files}
    assert files_of(run.folder)[PLAIN] == files_of(plain.folder)[PLAIN]


@pytest.mark.parametrize("done", range(3), ids=["packed file", "its folder", "run.json"])
def test_a_disk_that_is_full_while_a_finished_slide_is_packed_costs_nothing(
    slide, tmp_path, classifier, plain, monkeypatch, done
):
    before, real, calls = files_of(plain.folder), os.fsync, []

    def fails(descriptor):
        calls.append(1)
        if len(calls) > done:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="writing failed"):
        classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    monkeypatch.undo()
    there = files_of(plain.folder)
    there.pop(PACKED, None)
    assert there == before
    assert classify(slide, tmp_path / "out", classifier).complete_before
    assert classify(slide, tmp_path / "out", classifier, gzip_geojson=True).complete_before
    assert PLAIN not in files_of(plain.folder)


def test_a_run_that_ends_before_the_plain_file_goes_has_complete_results(
    slide, tmp_path, classifier, plain, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("her2edge.results.packed.forget", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    monkeypatch.undo()
    assert {PLAIN, PACKED} < set(files_of(plain.folder))
    again = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    assert again.complete_before
    assert plain.folder / PACKED in again.files


def test_while_another_command_is_at_work_there_it_is_refused(slide, tmp_path, classifier, plain):
    before = files_of(plain.folder)
    with alone_in(plain.folder), pytest.raises(TakenError):
        classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    assert files_of(plain.folder) == before


def test_whoever_comes_second_finds_what_the_first_one_made(plain):
    """Both have seen the plain file before either held the folder."""
    former = Finished(plain.folder, plain.answer, plain.files, None)
    first = pack_former(former, plain.folder)
    made = files_of(plain.folder)
    assert pack_former(former, plain.folder).files == first.files
    assert files_of(plain.folder) == made


@pytest.mark.parametrize("run", [b"{", b'{"files": {}}', b'{"files": {"tiles.geojson": "0"}}'])
def test_results_that_are_written_anew_meanwhile_are_left_alone(plain, run):
    former = Finished(plain.folder, plain.answer, plain.files, None)
    (plain.folder / "run.json").write_bytes(run)
    before = files_of(plain.folder)
    assert pack_former(former, plain.folder) is former
    assert files_of(plain.folder) == before


def test_results_of_an_older_her2edge_are_read_and_never_written_to(
    slide, tmp_path, classifier, plain, caplog
):
    old = plain.folder.with_name(f"slide-{plain.folder.name.rpartition('-')[2][:8]}")
    plain.folder.rename(old)
    before = files_of(old)
    run = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    assert run.complete_before
    assert run.folder == old
    assert files_of(old) == before
    assert "stays as it is" in caplog.text


def test_a_folder_of_tiles_has_neither(tmp_path, classifier):
    folder = small_slide.draw_folder(tmp_path / "tiles", 3)
    for _ in range(2):
        run = classify_slide(folder, tmp_path / "out", classifier, gzip_geojson=True)
        assert not {PLAIN, PACKED} & {path.name for path in run.files}


def test_slides_with_failed_tiles_are_packed_when_these_are_read_again(slide, tmp_path, classifier):
    with small_slide.unreadable((5,), columns=4):
        classify(slide, tmp_path / "out", classifier)
    run = classify(slide, tmp_path / "out", classifier, gzip_geojson=True)
    assert not run.complete_before
    whole = classify(slide, tmp_path / "whole", classifier)
    now = files_of(run.folder)
    assert PLAIN not in now
    assert gzip.decompress(now[PACKED]) == (whole.folder / PLAIN).read_bytes()


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_another_value_is_refused_before_anything_is_read(tmp_path, classifier, value):
    with pytest.raises(OptionError, match="gzip_geojson"):
        classify(tmp_path / "none.png", tmp_path / "out", classifier, gzip_geojson=value)


@pytest.mark.parametrize("more", [(), ("--isolate",)])
def test_the_command_writes_what_python_writes(slide, tmp_path, classifier, more):
    run = classify(slide, tmp_path / "sdk", classifier, gzip_geojson=True)
    assert small_slide.classify(slide, tmp_path / "out", "--gzip-geojson", *more) == 0
    there = small_slide.files_of(tmp_path / "out")
    assert there[PACKED] == (run.folder / PACKED).read_bytes()
    assert PLAIN not in there


def test_watch_and_cohort_write_it_too(slide, tmp_path: Path):
    from her2edge_cli.main import main

    (tmp_path / "in").mkdir()
    arrived = tmp_path / "in" / "slide.tif"
    small_slide.draw_slide(arrived, 2, 2)
    (tmp_path / "list.csv").write_text(f"slide\n{arrived}\n")
    fixed = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP), "--threads", "1", "--gzip-geojson", "--out"]
    watched = ["--once", "--still", "0", "--poll", "0.05"]
    assert main(["watch", str(tmp_path / "in"), *fixed, str(tmp_path / "a"), *watched]) == 0
    assert main(["cohort", str(tmp_path / "list.csv"), *fixed, str(tmp_path / "b")]) == 0
    for out in ("a", "b"):
        assert len(list((tmp_path / out).glob(f"*/{PACKED}"))) == 1
        assert not list((tmp_path / out).glob(f"*/{PLAIN}"))
    assert main(["cohort", "--collect", str(tmp_path / "b")]) == 0
    assert main(["report", str(tmp_path / "b")]) == 0
