"""A classify that was interrupted goes on, to the files of one that was not; results of two never mix."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tiny
from PIL import Image
from rich.console import Console
from shared_data import SHARED, needs
from small_slide import (
    classify,
    draw_folder,
    draw_slide,
    files_of,
    folder_of,
    interrupted_at,
    results_of,
    with_options,
)

from her2edge import Model, Options, SlideReader, TileClassifier, answer_slide, classify_slide
from her2edge.errors import MissingInputError, OptionError, SlideReadError
from her2edge.results import SlideInfo, tiles_read, write_outputs
from her2edge.results.classify_slide import THUMBNAIL_PX
from her2edge.results.journal import SlideStain, discard, open_journal
from her2edge.results.journal.database import Database
from her2edge.results.journal.record import unpack_basis
from her2edge.runtime import RuntimeUse
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.slide import folder as folder_module
from her2edge.slide import reader as reader_module
from her2edge.stain import StainFit, StainMode
from her2edge.stain.profiles import MACENKO
from her2edge_cli.progress import counter

TILES, STOP = 24, 10
JOURNAL = ".journal.sqlite3"


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


def interrupt(slide: Path, out: Path, *more: str, at: int = STOP) -> None:
    """Ctrl-C at tile `at` of a classify, so that so many are kept."""
    assert classify(slide, out, *more, by=interrupted_at(at)) == 130


def basis_of(out: Path) -> Any:
    """What the results of an interrupted run depend on, as its journal has it."""
    database = Database(folder_of(out) / JOURNAL)
    basis = unpack_basis(database.fact("basis") or b"")
    database.close()
    return basis


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
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any], capsys: Any
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out)
    assert f"{STOP} of {TILES} tiles are kept" in capsys.readouterr().err
    assert list(files_of(out)) == [".journal.sqlite3"]
    reads.clear()
    assert classify(slide, out) == 0
    assert f"resuming after tile {STOP} of {TILES}" in capsys.readouterr().err
    assert len(reads) == TILES - STOP
    assert reads[0] == ((STOP % 6) * tiny.SIZE, STOP // 6 * tiny.SIZE)
    assert files_of(out) == whole
    assert run_json(out)["resumed"] == STOP
    assert run_json(tmp_path / "whole")["resumed"] == 0


def test_an_interrupted_folder_goes_on_to_the_same_files(
    folder: Path, tmp_path: Path, reads: list[Any]
) -> None:
    assert classify(folder, tmp_path / "whole") == 0
    interrupt(folder, tmp_path / "out")
    reads.clear()
    assert classify(folder, tmp_path / "out") == 0
    assert reads == [f"{number:03}.png" for number in range(STOP, TILES)]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


@needs("wsi/cmu-1-small-region.svs")
def test_a_real_slide_goes_on_to_the_same_files(tmp_path: Path, reads: list[Any]) -> None:
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
    slide: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    for _ in range(7):
        interrupt(slide, tmp_path / "out", at=3)
    assert classify(slide, tmp_path / "out") == 0
    assert run_json(tmp_path / "out")["resumed"] == 21
    assert files_of(tmp_path / "out") == whole


def test_threads_and_interpreters_may_change_in_between(
    slide: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", "--threads", "2") == 0
    interrupt(slide, tmp_path / "two", "--interpreters", "2")
    assert classify(slide, tmp_path / "two") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "two") == whole
    assert run_json(tmp_path / "two")["resumed"] > 0


def test_the_stain_of_a_slide_is_fitted_once_and_goes_on_with_all_its_bits(
    slide: Path, tmp_path: Path
) -> None:
    assert classify(slide, tmp_path / "whole", "--stain", "slide") == 0
    interrupt(slide, tmp_path / "out", "--stain", "slide")
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    assert classify(slide, tmp_path / "out", "--stain", "slide") == 0
    assert "stain.json" in files_of(tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert run_json(tmp_path / "out")["resumed"] == STOP
    with open_journal(folder_of(tmp_path / "other"), basis_of(tmp_path / "other")) as journal:
        journal.stain = SlideStain(MACENKO)
    assert classify(slide, tmp_path / "other", "--stain", "slide") == 0
    kept = StainFit.load(folder_of(tmp_path / "other") / "stain.json")
    assert kept.to_dict() == MACENKO.to_dict(), "fitted again"


def test_a_slide_without_stains_stays_not_assessable_after_going_on(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 150, (tiny.SIZE * 4, tiny.SIZE * 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert classify(tmp_path / "noise.png", tmp_path / "whole", "--stain", "slide") == 0
    interrupt(tmp_path / "noise.png", tmp_path / "out", "--stain", "slide")
    assert classify(tmp_path / "noise.png", tmp_path / "out", "--stain", "slide") == 0
    answer = json.loads(files_of(tmp_path / "out")["summary.json"])["answer"]
    assert (answer["status"], answer["labels"]) == ("not_assessable", [])
    assert "rank_deficient" in answer["reasons"][0]["sentence"]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_results_of_two_runtimes_are_never_mixed(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], caplog: Any
) -> None:
    """The other run is this one under another runtime's name: the results are the same, and are not taken."""
    out = tmp_path / "out"
    interrupt(slide, out)
    here = basis_of(out)
    with open_journal(folder_of(out), here) as journal:
        results = list(journal)
    discard(folder_of(out))
    there = msgspec.structs.replace(here, runtime=RuntimeUse("openvino", "2026.4"))
    with open_journal(folder_of(out), there) as journal:
        for result in results:
            journal.add(result)
    assert classify(slide, out) == 0
    assert f"runtime: found openvino 2026.4, expected {here.runtime}" in caplog.text
    assert "never mixed" in caplog.text
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
    slide: Path, tmp_path: Path, caplog: Any, more: list[str], word: str
) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", *more) == 0
    assert word in caplog.text
    assert classify(slide, tmp_path / "whole", *more) == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_another_minimum_of_tissue_tiles_keeps_the_results(slide: Path, tmp_path: Path) -> None:
    interrupt(slide, tmp_path / "out")
    assert classify(slide, tmp_path / "out", "--min-tissue-tiles", "1") == 0
    assert run_json(tmp_path / "out")["resumed"] == STOP


def test_the_files_are_the_same_through_the_api(slide: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=2, interpreters=2))
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        info = SlideInfo.of(reader, classifier.model)
        results = list(classifier.stream(reader.tiles(classifier.model)))
        thumbnail, read = reader.thumbnail(THUMBNAIL_PX), tiles_read(classifier, reader)
    folder = tmp_path / "parts" / "slide"
    answer = answer_slide(results, classifier.model, read=read)
    write_outputs(folder, classifier, info, results, answer, thumbnail)
    assert files_of(tmp_path / "parts") == whole
    classify_slide(slide, tmp_path / "whole way", classifier, mpp=tiny.MPP)
    assert files_of(tmp_path / "whole way") == whole


def test_fresh_begins_from_the_first_tile(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any]
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
    printed = capsys.readouterr()
    assert reads == []
    assert printed.out.startswith("slide.png: ")
    assert "\n  24 tiles: " in printed.out
    assert printed.out.count(str(folder_of(out))) == 5
    assert "found complete results" in printed.err
    assert "--fresh" in printed.err
    assert (folder_of(out) / "run.json").read_bytes() == before
    assert classify(slide, out, "--fresh") == 0
    assert capsys.readouterr().out == printed.out
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
        lambda run: run.update(basis=None),
        lambda run: run.update(files=[[[]]]),
    ],
    ids=["outside", "no files", "no basis", "nonsense"],
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
    slide: Path, tmp_path: Path, whole: dict[str, bytes], reads: list[Any]
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out, at=TILES)
    journal = files_of(out)[JOURNAL]
    assert classify(slide, out) == 0
    (folder_of(out) / JOURNAL).write_bytes(journal)
    reads.clear()
    assert classify(slide, out) == 0
    assert reads == []
    assert files_of(out) == whole


def test_a_damaged_journal_is_set_aside_with_a_warning_and_the_slide_done_afresh(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], caplog: Any
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out)
    path = folder_of(out) / ".journal.sqlite3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert classify(slide, out) == 0
    assert "slide.png: found a damaged journal" in caplog.text
    files = files_of(out)
    assert files.pop(".journal-damaged.sqlite3")
    assert files == whole


def test_a_clock_that_is_wrong_by_twenty_years_changes_nothing(
    slide: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    interrupt(slide, out)
    for path in folder_of(out).iterdir():
        os.utime(path, (4e9, 4e9))  # the year 2096
    then = datetime.datetime(2006, 6, 11, tzinfo=datetime.UTC)
    assert classify(slide, out, by=with_options(clock=lambda: then)) == 0
    run = run_json(out)
    assert run["started"].startswith("2006-06-11")
    assert 0 < run["seconds"] < 600
    assert run["resumed"] == STOP
    assert files_of(out) == whole


def test_progress_begins_where_the_run_is_resumed_and_counts_every_tile(slide: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    interrupt(slide, tmp_path)
    assert classify(slide, tmp_path, by=with_options(lambda *call: calls.append(call))) == 0
    assert calls == [(done, TILES) for done in range(STOP, TILES + 1)]


def test_the_bar_begins_where_the_run_is_resumed() -> None:
    text = io.StringIO()
    with counter("slide\x1b.png", Console(file=text, force_terminal=True, width=120)) as advance:
        advance(STOP, TILES)
        advance(STOP + 1, TILES)
    assert f"{STOP + 1}/{TILES}" in text.getvalue()
    assert "slide?.png" in text.getvalue()


def test_a_pipe_gets_no_bar() -> None:
    text = io.StringIO()
    with counter("slide.png", Console(file=text)) as advance:
        advance(STOP, TILES)
    assert text.getvalue() == ""


def test_a_journal_keeps_failed_tiles_as_what_they_are(tmp_path: Path, reads: list[Any]) -> None:
    tiles = draw_folder(tmp_path / "tiles", 12)
    (tiles / "001.png").write_bytes(b"no picture")
    assert classify(tiles, tmp_path / "whole") == 3
    interrupt(tiles, tmp_path / "out", at=6)
    reads.clear()
    assert classify(tiles, tmp_path / "out") == 3
    assert "001.png" not in reads
    assert results_of(tmp_path / "out") == results_of(tmp_path / "whole")
    rows = list(csv.DictReader(files_of(tmp_path / "out")["tiles.csv"].decode().splitlines()))
    assert [row["slide"] for row in rows if row["outcome"] == "failed"] == ["001.png"]


def test_a_slide_that_another_process_works_on_is_refused(slide: Path, tmp_path: Path, capsys: Any) -> None:
    interrupt(slide, tmp_path / "out")
    taken = Database(folder_of(tmp_path / "out") / JOURNAL)
    for more in ([], ["--fresh"]):
        assert classify(slide, tmp_path / "out", *more) == 73
        assert "another her2edge at work" in capsys.readouterr().err
    taken.close()
    assert classify(slide, tmp_path / "out") == 0
    assert run_json(tmp_path / "out")["resumed"] == STOP


@pytest.mark.parametrize("what", ["changed while", "disappeared while"])
@pytest.mark.parametrize("isolate", [False, True])
def test_a_slide_that_changes_while_it_is_read_has_no_results(
    slide: Path, tmp_path: Path, what: str, isolate: bool
) -> None:
    """Tiles of two slides are no answer, nor are those of half a slide: not now, not in the next run."""
    path = tmp_path / "slide.png"
    path.write_bytes(slide.read_bytes())
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))

    def change(done: int, _total: int) -> None:
        if done == STOP:
            path.write_bytes(slide.read_bytes() + b"more") if what == "changed while" else path.unlink()

    out = tmp_path / "out"
    with pytest.raises(SlideReadError, match=what):
        classify_slide(path, out, classifier, mpp=tiny.MPP, isolate=isolate, progress=change)
    assert list(out.iterdir()) == []
    path.write_bytes(slide.read_bytes())
    assert classify_slide(path, out, classifier, mpp=tiny.MPP).resumed == 0


@pytest.mark.parametrize("word", ["slide", StainMode.SLIDE])
def test_a_classifier_that_wants_a_fit_of_the_slide_gets_it_from_classify_slide_alone(
    slide: Path, tmp_path: Path, word: str
) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1, stain=word))
    assert classifier.stain == {"mode": "slide"}
    for door in (
        lambda: classifier.classify(tiny.glass()),
        lambda: classifier.stream([tiny.glass()]),
        lambda: classifier.feed(lambda _: None),
        lambda: classifier.explain(tiny.glass()),
    ):
        with pytest.raises(OptionError, match=r"her2edge\.classify_slide.*fit_slide"):
            door()
    run = classify_slide(slide, tmp_path / "own", classifier, mpp=tiny.MPP)
    assert "stain.json" in [path.name for path in run.files]
    other = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    classify_slide(slide, tmp_path / "asked", other, mpp=tiny.MPP, stain=word)
    assert files_of(tmp_path / "asked") == files_of(tmp_path / "own")


@pytest.mark.parametrize("word", ["per-tile", "per_tile", StainMode.PER_TILE, None])
def test_a_stain_mode_is_understood_in_the_words_of_python_and_of_the_command(
    slide: Path, tmp_path: Path, whole: dict[str, bytes], word: str | None
) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    classify_slide(slide, tmp_path / "out", classifier, mpp=tiny.MPP, stain=word)
    assert files_of(tmp_path / "out") == whole


def test_an_option_out_of_range_is_refused_before_anything_is_written(slide: Path, tmp_path: Path) -> None:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    for wrong in ({"min_tissue_tiles": 0}, {"stain": "tile"}, {"mpp": 99.0}):
        with pytest.raises(OptionError):
            classify_slide(slide, tmp_path / "out", classifier, **{"mpp": tiny.MPP} | wrong)
    with pytest.raises(MissingInputError, match="empty path"):
        classify_slide("", tmp_path / "out", classifier)
    assert not (tmp_path / "out").exists()
