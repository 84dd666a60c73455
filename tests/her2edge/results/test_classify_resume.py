"""A classify that was interrupted goes on, to the files of one that was not; results of two never mix."""

from __future__ import annotations

import csv
import datetime
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image
from shared_data import SHARED, needs
from small_slide import classify, draw_folder, draw_slide, files_of, folder_of

import her2edge.results.classify_slide
import her2edge_cli.progress
from her2edge import Model, Options, SlideReader, TileClassifier, summarize
from her2edge.results import SlideInfo, write_outputs
from her2edge.results.journal import journal as journal_module
from her2edge.runtime import RuntimeUse
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.slide import folder as folder_module
from her2edge.slide import reader as reader_module

TILES, BATCH, STOP = 24, 4, 10


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BATCH", BATCH)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("folder") / "tiles")


@pytest.fixture
def whole(slide: Path, tmp_path: Path) -> dict[str, bytes]:
    """The files of a run that nothing happened to."""
    assert classify(slide, tmp_path / "whole") == 0
    return files_of(tmp_path / "whole")


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """interrupt(slide, out, *more): Ctrl-C at tile `STOP` of a classify, so that so many are kept."""

    def run(slide: Path, out: Path, *more: str, at: int = STOP) -> None:
        real, calls = TileClassifier._classify, 0

        def interrupted(self: TileClassifier, tile: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > at:
                raise KeyboardInterrupt
            return real(self, tile)

        with monkeypatch.context() as patch:
            patch.setattr(TileClassifier, "_classify", interrupted)
            assert classify(slide, out, *more) == 130

    return run


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was decoded of slides and folders since."""
    seen: list[Any] = []
    sample, image = reader_module.sample, folder_module.read_image
    monkeypatch.setattr(reader_module, "sample", lambda *a: (seen.append(a[1:3]), sample(*a))[1])
    monkeypatch.setattr(folder_module, "read_image", lambda path: (seen.append(path.name), image(path))[1])
    return seen


def run_json(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "run.json").read_text())  # type: ignore[no-any-return]


def test_an_interrupted_slide_goes_on_to_the_same_files(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any, reads: list[Any], capsys: Any
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out)
    assert f"{STOP} of {TILES} tiles are kept" in capsys.readouterr().err
    assert list(files_of(out)) == [".journal.sqlite3"]
    reads.clear()
    assert classify(slide, out) == 0
    assert f"going on after tile {STOP} of {TILES}" in capsys.readouterr().err
    assert len(reads) == TILES - STOP
    assert reads[0] == ((STOP % 6) * tiny.SIZE, STOP // 6 * tiny.SIZE)
    assert files_of(out) == whole
    assert run_json(out)["resumed"] == STOP
    assert run_json(tmp_path / "whole")["resumed"] == 0


def test_an_interrupted_folder_goes_on_to_the_same_files(
    folder: Path, tmp_path: Path, interrupt: Any, reads: list[Any]
) -> None:
    assert classify(folder, tmp_path / "whole") == 0
    interrupt(folder, tmp_path / "out")
    reads.clear()
    assert classify(folder, tmp_path / "out") == 0
    assert reads == [f"{number:03}.png" for number in range(STOP, TILES)]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


@needs("wsi/cmu-1-small-region.svs")
def test_a_real_slide_goes_on_to_the_same_files(tmp_path: Path, interrupt: Any, reads: list[Any]) -> None:
    real = SHARED / "wsi" / "cmu-1-small-region.svs"
    own_scale = ["--mpp", "0.499"]
    assert classify(real, tmp_path / "whole", *own_scale) == 0
    count = len(reads)
    interrupt(real, tmp_path / "out", *own_scale, at=count // 2)
    reads.clear()
    assert classify(real, tmp_path / "out", *own_scale) == 0
    assert len(reads) == count - count // 2
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_slide_that_is_interrupted_again_and_again_gets_done(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any
) -> None:
    for _ in range(7):
        interrupt(slide, tmp_path / "out", at=3)
    assert classify(slide, tmp_path / "out") == 0
    assert run_json(tmp_path / "out")["resumed"] == 21
    assert files_of(tmp_path / "out") == whole


def test_threads_and_interpreters_may_change_in_between(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any
) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", "--threads", "2") == 0
    interrupt(slide, tmp_path / "two", "--interpreters", "2")
    assert classify(slide, tmp_path / "two") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "two") == whole
    assert run_json(tmp_path / "two")["resumed"] > 0


def test_the_stain_of_a_slide_is_fitted_once_and_goes_on_with_all_its_bits(
    slide: Path, tmp_path: Path, interrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert classify(slide, tmp_path / "whole", "--stain", "slide") == 0
    interrupt(slide, tmp_path / "out", "--stain", "slide")

    def refitted(*_: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(her2edge.results.classify_slide, "fit_slide", refitted)
    assert classify(slide, tmp_path / "out", "--stain", "slide") == 0
    assert "stain.json" in files_of(tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert run_json(tmp_path / "out")["resumed"] == STOP


def test_a_slide_without_stains_stays_not_assessable_after_going_on(
    tmp_path: Path, interrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(1).integers(0, 150, (tiny.SIZE * 4, tiny.SIZE * 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert classify(tmp_path / "noise.png", tmp_path / "whole", "--stain", "slide") == 0
    interrupt(tmp_path / "noise.png", tmp_path / "out", "--stain", "slide")
    assert classify(tmp_path / "noise.png", tmp_path / "out", "--stain", "slide") == 0
    summary = json.loads(files_of(tmp_path / "out")["summary.json"])["summary"]
    assert "rank_deficient" in summary["reason"]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_results_of_two_runtimes_are_never_mixed(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any, monkeypatch: Any, caplog: Any
) -> None:
    """The other runtime is this one under another name: what is computed is the same, what is said is not."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("her2edge.runtime.choose.Plan.use", RuntimeUse("openvino", "2026.4"))
        interrupt(slide, out)
    assert classify(slide, out) == 0
    said = caplog.text
    here = TileClassifier(Model.load(tiny.INT8), Options(threads=1)).use
    assert f"runtime: found openvino 2026.4, expected {here}" in said
    assert "never mixed" in said
    assert run_json(out)["resumed"] == 0
    assert files_of(out) == whole


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--stain", "off"], "stain: found per_tile"),
        (["--mpp", str(tiny.MPP * 0.5)], "um per pixel: found"),
        (["--model", str(tiny.FP32)], "model: found"),
        (["--stain", "slide"], "expected slide"),
    ],
)
def test_another_option_begins_the_slide_afresh_and_says_why(
    slide: Path, tmp_path: Path, interrupt: Any, caplog: Any, more: list[str], word: str
) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", *more) == 0
    assert word in caplog.text
    assert classify(slide, tmp_path / "whole", *more) == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_another_minimum_of_tissue_tiles_keeps_the_results(
    slide: Path, tmp_path: Path, interrupt: Any
) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", "--min-tissue-tiles", "1") == 0
    assert run_json(tmp_path / "out")["resumed"] == STOP


def test_the_files_are_the_same_through_the_api(slide: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=2, interpreters=2))
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        grid = reader.grid(classifier.model)
        (width, height) = grid.dimensions
        info = SlideInfo(
            reader.name, reader.fingerprint, reader.mpp, width, height, grid.step, grid.columns, grid.rows
        )
        results = list(classifier.stream(reader.tiles(classifier.model)))
        thumbnail = reader.thumbnail(her2edge.results.classify_slide.THUMBNAIL_PX)
    folder = tmp_path / "api" / "slide"
    write_outputs(folder, classifier, info, results, summarize(results), thumbnail)
    assert files_of(tmp_path / "api") == whole


def test_fresh_begins_from_the_first_tile(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any, reads: list[Any]
) -> None:
    interrupt(slide, tmp_path / "out")
    reads.clear()
    assert classify(slide, tmp_path / "out", "--fresh") == 0
    assert len(reads) == TILES
    assert run_json(tmp_path / "out")["resumed"] == 0
    assert files_of(tmp_path / "out") == whole


def test_a_complete_slide_is_left_as_it_is_until_asked_for(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any], capsys: Any
) -> None:
    out = tmp_path / "whole"
    before = (folder_of(out) / "run.json").read_bytes()
    assert classify(slide, out) == 0
    said = capsys.readouterr()
    assert reads == []
    assert said.out.startswith("slide.png: 2+\n  24 tiles: 12 classified")
    assert said.out.count(str(folder_of(out))) == 5
    assert "--fresh" in said.err
    assert (folder_of(out) / "run.json").read_bytes() == before
    assert classify(slide, out, "--fresh") == 0
    assert len(reads) == TILES
    assert files_of(out) == whole


@pytest.mark.parametrize("name", ["tiles.csv", "heatmap.png", "summary.json", "run.json"])
@pytest.mark.parametrize("harm", ["removed", "changed"])
def test_a_complete_slide_with_a_harmed_file_is_done_again(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any], name: str, harm: str
) -> None:
    path = folder_of(tmp_path / "whole") / name
    if harm == "removed":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x80
        path.write_bytes(data)
    assert classify(slide, tmp_path / "whole") == 0
    assert len(reads) == TILES
    assert files_of(tmp_path / "whole") == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run["files"].update({"../../secret": "00" * 32}),
        lambda run: run["files"].clear(),
        lambda run: run["basis"].update(fingerprint="00" * 32),
        lambda run: run.update(basis=None),
        lambda run: run.update(files=[[[]]]),
    ],
    ids=["outside", "no files", "another slide", "no basis", "nonsense"],
)
def test_a_run_json_that_states_something_else_does_not_count(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any], change: Callable[[Any], None]
) -> None:
    path = folder_of(tmp_path / "whole") / "run.json"
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))
    assert classify(slide, tmp_path / "whole") == 0
    assert len(reads) == TILES
    assert files_of(tmp_path / "whole") == whole


def test_a_complete_slide_is_done_again_with_another_option(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any]
) -> None:
    for more in (["--min-tissue-tiles", "3"], ["--stain", "off"], ["--model", str(tiny.FP32)]):
        reads.clear()
        assert classify(slide, tmp_path / "whole", *more) == 0
        assert len(reads) == TILES, more


def test_a_slide_with_failed_tiles_is_tried_again(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LiteRTRuntime._infer
    calls = 0

    def fails_once(self: Any, *a: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RuntimeError("out of memory")
        return real(self, *a)

    monkeypatch.setattr(LiteRTRuntime, "_infer", fails_once)
    assert classify(slide, tmp_path / "out") == 3
    assert classify(slide, tmp_path / "out") == 0
    assert files_of(tmp_path / "out") == whole


def test_a_run_killed_after_its_last_file_leaves_nothing_behind(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, reads: list[Any]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(her2edge.results.classify_slide, "discard", lambda *_: None)
        assert classify(slide, tmp_path / "out") == 0
    assert ".journal.sqlite3" in files_of(tmp_path / "out")
    reads.clear()
    assert classify(slide, tmp_path / "out") == 0
    assert reads == []
    assert files_of(tmp_path / "out") == whole


def test_a_damaged_journal_is_set_aside_with_a_warning_and_the_slide_done_afresh(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any, caplog: Any
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out)
    path = folder_of(out) / ".journal.sqlite3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert classify(slide, out) == 0
    assert "slide.png: found a damaged journal" in caplog.text
    found = files_of(out)
    assert found.pop(".journal-damaged.sqlite3")
    assert found == whole


def test_a_clock_that_is_wrong_by_twenty_years_changes_nothing(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], interrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz).replace(year=2006)

    interrupt(slide, tmp_path / "out")
    for path in folder_of(tmp_path / "out").iterdir():
        os.utime(path, (4e9, 4e9))  # the year 2096
    monkeypatch.setattr(her2edge.results.classify_slide.datetime, "datetime", Wrong)
    monkeypatch.setattr(time, "time", lambda: 1.15e9)
    assert classify(slide, tmp_path / "out") == 0
    run = run_json(tmp_path / "out")
    assert run["started"].startswith("2006")
    assert 0 < run["seconds"] < 600
    assert run["resumed"] == STOP
    assert files_of(tmp_path / "out") == whole


def test_the_bar_begins_where_the_run_goes_on(
    slide: Path, tmp_path: Path, interrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = her2edge_cli.progress.Progress.add_task
    monkeypatch.setattr(her2edge_cli.progress.Console, "is_terminal", True)

    def add_task(self: Any, title: str, **more: Any) -> Any:
        seen.append((more["completed"], more["total"]))
        return real(self, title, **more)

    monkeypatch.setattr(her2edge_cli.progress.Progress, "add_task", add_task)
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out") == 0
    assert seen == [(0, TILES), (STOP, TILES)]


def test_a_journal_keeps_failed_tiles_as_what_they_are(
    tmp_path: Path, interrupt: Any, reads: list[Any]
) -> None:
    tiles = draw_folder(tmp_path / "tiles", 12)
    (tiles / "001.png").write_bytes(b"no picture")
    assert classify(tiles, tmp_path / "whole") == 3
    interrupt(tiles, tmp_path / "out", at=6)
    reads.clear()
    assert classify(tiles, tmp_path / "out") == 3
    assert "001.png" not in reads
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    rows = list(csv.DictReader(files_of(tmp_path / "out")["tiles.csv"].decode().splitlines()))
    assert [row["slide"] for row in rows if row["outcome"] == "failed"] == ["001.png"]


def test_a_slide_that_another_process_works_on_is_refused(
    slide: Path, tmp_path: Path, interrupt: Any, capsys: Any
) -> None:
    from her2edge.results.journal.database import Database

    interrupt(slide, tmp_path / "out")
    taken = Database(folder_of(tmp_path / "out") / ".journal.sqlite3")
    for more in ([], ["--fresh"]):
        assert classify(slide, tmp_path / "out", *more) == 73
        assert "another her2edge at work" in capsys.readouterr().err
    taken.close()
    assert classify(slide, tmp_path / "out") == 0
    assert run_json(tmp_path / "out")["resumed"] == STOP


@pytest.mark.parametrize("what", ["written to", "went away"])
@pytest.mark.parametrize("more", [(), ("--isolate",)])
def test_a_slide_that_changes_while_it_is_read_has_no_results(
    slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    what: str,
    more: tuple[str, ...],
) -> None:
    """Tiles of two slides are no answer, nor are those of half a slide: not now, not in the next run."""
    path = tmp_path / "slide.png"
    path.write_bytes(slide.read_bytes())
    real = SlideReader.tiles

    def changing(self: SlideReader, *arguments: Any, **named: Any) -> Any:
        for number, tile in enumerate(real(self, *arguments, **named)):
            if number == STOP:
                path.write_bytes(slide.read_bytes() + b"more") if what == "written to" else path.unlink()
            yield tile

    with monkeypatch.context() as patch:
        patch.setattr(SlideReader, "tiles", changing)
        assert classify(path, tmp_path / "out", *more) == 65
    assert what in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
    path.write_bytes(slide.read_bytes())
    assert classify(path, tmp_path / "out") == 0
    assert json.loads((folder_of(tmp_path / "out") / "run.json").read_text())["resumed"] == 0
