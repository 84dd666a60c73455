"""A results folder belongs to the slide that its run.json names, as that slide was; no other is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image
from shared_data import SHARED, needs
from small_slide import (
    classify,
    contents,
    draw_folder,
    draw_slide,
    files_of,
    fingerprint,
    folder_of,
    interrupted_at,
)

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.errors import NotOursError, SlideReadError
from her2edge.slide.fingerprint import WHOLE

BLOCK, BLOCKS = 64 * 1024, 64  # as a fingerprint samples a large file


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "case.png")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide above 4 MiB, of which a fingerprint reads 64 blocks; stored uncompressed."""
    folder = tmp_path_factory.mktemp("large")
    with Image.open(draw_slide(folder / "drawn.png", 25, 18)) as image:
        image.convert("RGB").save(folder / "large.bmp")
    assert (folder / "large.bmp").stat().st_size > WHOLE
    return folder / "large.bmp"


@pytest.fixture(scope="module")
def classifier() -> TileClassifier:
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


def whiten(path: Path) -> None:
    """Paint in place between the sampled blocks: same size, same fingerprint."""
    before, size = fingerprint(path), path.stat().st_size
    starts = [(size - BLOCK) * n // (BLOCKS - 1) for n in range(BLOCKS)]
    with path.open("r+b") as file:
        for start, following in pairwise(starts[20:40]):
            if following > start + BLOCK:
                file.seek(start + BLOCK)
                file.write(b"\xff" * (following - start - BLOCK))
    assert (fingerprint(path), path.stat().st_size) == (before, size)


def run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


def named(folder: Path) -> str:
    return run_json(folder)["basis"]["slide"]  # type: ignore[no-any-return]


# Which folder is whose


def test_the_same_bytes_under_two_suffixes_have_a_folder_each(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    other = tmp_path / "case.bmp"
    shutil.copy(slide, other)
    runs = [classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP) for path in (slide, other)]
    digits = fingerprint(slide)[:16]
    assert [run.folder.name for run in runs] == [f"case.png-{digits}", f"case.bmp-{digits}"]
    assert [named(run.folder) for run in runs] == ["case.png", "case.bmp"]
    assert not any(run.complete_before for run in runs)


@needs("cases/collision/caseA/slide.tif")
def test_two_slides_of_one_name_and_equal_first_digits_have_a_folder_each(
    tmp_path: Path, classifier: TileClassifier
) -> None:
    cases = [SHARED / "cases" / "collision" / case / "slide.tif" for case in ("caseA", "caseB")]
    runs = [classify_slide(path, tmp_path, classifier, mpp=tiny.MPP) for path in cases]
    assert len({run.folder for run in runs}) == 2
    assert [run_json(run.folder)["basis"]["fingerprint"] for run in runs] == list(map(fingerprint, cases))


@pytest.mark.parametrize("more", [[], ["--fresh"]])
def test_the_same_bytes_under_two_names_that_look_alike_are_refused_and_nothing_is_touched(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    for name in ("a_b.png", "a b.png"):
        shutil.copy(slide, tmp_path / name)
    out = tmp_path / "out"
    assert classify(tmp_path / "a_b.png", out) == 0
    before = contents(out)
    assert classify(tmp_path / "a b.png", out, *more) == 73
    assert "results of another slide, a_b.png" in capsys.readouterr().err
    assert contents(out) == before
    assert classify(tmp_path / "a b.png", tmp_path / "out 2") == 0


def test_a_folder_whose_run_json_names_another_slide_is_left_alone(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    run = classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP)
    for change in ({"fingerprint": "00" * 32}, {"slide": "other.png"}):
        record = run_json(run.folder)
        record["basis"] |= change
        (run.folder / "run.json").write_text(json.dumps(record))
        before = contents(tmp_path)
        with pytest.raises(NotOursError, match="another slide"):
            classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP)
        assert contents(tmp_path) == before
        shutil.rmtree(run.folder)
        classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP)


def test_where_run_json_is_gone_the_summary_says_whose_results_they_are(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    run = classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP)
    (run.folder / "run.json").unlink()
    summary = json.loads((run.folder / "summary.json").read_text())
    summary["slide"]["name"] = "other.png"
    (run.folder / "summary.json").write_text(json.dumps(summary))
    before = contents(tmp_path)
    with pytest.raises(NotOursError, match=r"another slide, other\.png"):
        classify_slide(slide, tmp_path, classifier, mpp=tiny.MPP)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("more", [[], ["--fresh"]])
def test_the_journal_of_another_slide_is_left_alone(slide: Path, tmp_path: Path, more: list[str]) -> None:
    for name in ("a_b.png", "a b.png"):
        shutil.copy(slide, tmp_path / name)
    out = tmp_path / "out"
    assert classify(tmp_path / "a_b.png", out, by=interrupted_at(7)) == 130
    before = contents(out)
    assert classify(tmp_path / "a b.png", out, *more) == 73
    assert contents(out) == before
    assert classify(tmp_path / "a_b.png", out) == 0
    assert run_json(folder_of(out))["resumed"] == 7


def test_a_finished_folder_of_former_days_is_passed_over_and_one_of_another_slide_left_alone(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    made = classify_slide(slide, tmp_path / "made", classifier, mpp=tiny.MPP)
    out = tmp_path / "out"
    former = out / f"case-{fingerprint(slide)[:8]}"
    shutil.copytree(made.folder, former)
    before = contents(out)
    run = classify_slide(slide, out, classifier, mpp=tiny.MPP)
    assert (run.complete_before, run.folder) == (True, former)
    assert contents(out) == before
    other = tmp_path / "case.bmp"  # in the same folder then
    shutil.copy(slide, other)
    assert not classify_slide(other, out, classifier, mpp=tiny.MPP).complete_before
    record = run_json(former)
    record["basis"]["fingerprint"] = fingerprint(slide)[:8] + "00" * 28
    (former / "run.json").write_text(json.dumps(record))
    before = contents(former)
    assert not classify_slide(slide, out, classifier, mpp=tiny.MPP).complete_before
    assert contents(former) == before


# What the slide was


def back(path: Path, stat: os.stat_result) -> None:
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


posix = pytest.mark.skipif(os.name != "posix", reason="Windows keeps no time of change")


@pytest.mark.parametrize("time_put_back", [False, pytest.param(True, marks=posix)])
def test_a_large_slide_changed_in_place_between_the_sampled_blocks_is_read_again(
    large: Path, tmp_path: Path, classifier: TileClassifier, time_put_back: bool
) -> None:
    path = tmp_path / "large.bmp"
    shutil.copy(large, path)
    stat = path.stat()
    first = classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP)
    before = files_of(tmp_path / "out")
    assert classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP).complete_before
    whiten(path)
    if time_put_back:
        back(path, stat)
    again = classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP)
    assert (again.complete_before, again.resumed, again.folder) == (False, 0, first.folder)
    assert files_of(tmp_path / "out") != before
    classify_slide(path, tmp_path / "anew", classifier, mpp=tiny.MPP)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "anew")


def test_a_large_slide_that_was_touched_or_copied_is_hashed_once_and_passed_over(
    large: Path, tmp_path: Path, classifier: TileClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "large.bmp", tmp_path / "out"
    shutil.copy(large, path)
    classify_slide(path, out, classifier, mpp=tiny.MPP)
    hashed: list[str] = []
    real = SlideReader.hash_whole
    monkeypatch.setattr(SlideReader, "hash_whole", lambda self: (hashed.append(self.name), real(self))[1])
    os.utime(path, (1e9, 1e9))
    for _ in range(3):
        assert classify_slide(path, out, classifier, mpp=tiny.MPP).complete_before
    assert hashed == ["large.bmp"], "what it looks like now was not kept"
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(path, tmp_path / "elsewhere" / "large.bmp")
    assert classify_slide(tmp_path / "elsewhere" / "large.bmp", out, classifier, mpp=tiny.MPP).complete_before
    assert not list(folder_of(out).glob(".*"))


def test_two_large_slides_of_one_name_and_one_fingerprint_are_told_apart(
    large: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    paths = [tmp_path / case / "large.bmp" for case in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(large, path)
    whiten(paths[1])
    for path in (*paths, paths[0]):
        run = classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP)
        assert not run.complete_before
        classify_slide(path, tmp_path / "alone" / path.parent.name, classifier, mpp=tiny.MPP)
        assert files_of(tmp_path / "out") == files_of(tmp_path / "alone" / path.parent.name)


def test_an_interrupted_run_of_a_slide_that_was_changed_in_place_is_not_resumed(
    large: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, out = tmp_path / "large.bmp", tmp_path / "out"
    shutil.copy(large, path)
    assert classify(path, out, by=interrupted_at(100)) == 130
    whiten(path)
    assert classify(path, out) == 0
    assert "before its file was changed" in caplog.text
    assert run_json(folder_of(out))["resumed"] == 0
    assert classify(path, tmp_path / "anew") == 0
    assert files_of(out) == files_of(tmp_path / "anew")


def test_an_interrupted_run_of_a_large_slide_that_nobody_touched_is_resumed(
    large: Path, tmp_path: Path
) -> None:
    assert classify(large, tmp_path / "out", by=interrupted_at(100)) == 130
    assert classify(large, tmp_path / "out") == 0
    assert run_json(folder_of(tmp_path / "out"))["resumed"] == 100


def test_a_small_slide_that_was_only_touched_is_passed_over_and_resumed(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    path, out = tmp_path / "case.png", tmp_path / "out"
    shutil.copy(slide, path)
    assert classify(path, out, by=interrupted_at(7)) == 130
    os.utime(path, (1e9, 1e9))
    assert classify_slide(path, out, classifier, mpp=tiny.MPP).resumed == 7
    os.utime(path, (2e9, 2e9))
    assert classify_slide(path, out, classifier, mpp=tiny.MPP).complete_before


def test_run_json_keeps_how_the_slide_looked_and_the_hash_of_a_large_one(
    slide: Path, large: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    import hashlib

    for path, whole in ((slide, None), (large, hashlib.sha256(large.read_bytes()).hexdigest())):
        run = classify_slide(path, tmp_path, classifier, mpp=tiny.MPP)
        evidence = run_json(run.folder)["evidence"]
        assert evidence["size"] == path.stat().st_size
        assert evidence["modified_ns"] == path.stat().st_mtime_ns
        assert (evidence["sampled"], evidence["sha256"]) == (whole is not None, whole)


def test_a_folder_of_large_tiles_is_known_by_every_byte_though_one_cannot_be_read(tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    for name in ("a.bmp", "b.bmp", "c.bmp"):
        Image.new("RGB", (1400, 1100), (200, 120, 160)).save(tiles / name)
    seen = []
    with SlideReader(tiles) as reader:
        assert reader.evidence.sampled
        seen.append(reader.hash_whole())
        whiten(tiles / "b.bmp")
        seen.append(reader.hash_whole())
        (tiles / "c.bmp").unlink()
        seen.append(reader.hash_whole())
    assert len(set(seen)) == 3


def overwrite(path: Path) -> Callable[[], None]:
    """Other bytes for a while: written in place."""
    kept = path.read_bytes()
    path.write_bytes(b"\0" * len(kept))
    return lambda: path.write_bytes(kept) and None


def overwrite_and_hide(path: Path) -> Callable[[], None]:
    """The same, its time put back."""
    stat, undo = path.stat(), overwrite(path)
    return lambda: (undo(), back(path, stat))[1]


def swap(path: Path) -> Callable[[], None]:
    """Another file under the name for a while."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.write_bytes(b"other")
    return lambda: aside.replace(path) and None


@pytest.mark.parametrize(
    "harm", [overwrite, pytest.param(overwrite_and_hide, marks=posix), pytest.param(swap, marks=posix)]
)
@pytest.mark.parametrize("kind", ["slide", "folder"])
def test_a_slide_that_is_overwritten_and_put_back_while_it_is_read_has_no_results(
    slide: Path, tmp_path: Path, classifier: TileClassifier, harm: Any, kind: str
) -> None:
    path = tmp_path / "case.png"
    shutil.copy(slide, path)
    harmed = path
    if kind == "folder":
        path = draw_folder(tmp_path / "tiles")
        harmed = path / "003.png"
    undo: list[Callable[[], None]] = []

    def watch(done: int, _total: int) -> None:
        if done == 5:
            undo.append(harm(harmed))
        elif done == 9:
            undo.pop()()

    out = tmp_path / "out"
    mpp = None if kind == "folder" else tiny.MPP
    with pytest.raises(SlideReadError, match="changed while it was being read"):
        classify_slide(path, out, classifier, mpp=mpp, progress=watch)
    assert list(out.iterdir()) == []
    assert classify_slide(path, out, classifier, mpp=mpp).resumed == 0


def test_a_file_that_is_replaced_after_it_was_opened_and_before_it_is_looked_at_is_refused(
    slide: Path, tmp_path: Path
) -> None:
    """A plain image is decoded when it is opened: its fingerprint must not be the other one's."""
    path = tmp_path / "case.png"
    shutil.copy(slide, path)
    with SlideReader(path, mpp=tiny.MPP) as reader:
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(SlideReadError, match="changed while it was being read"):
            _ = reader.fingerprint


# What must not cost a slide


def test_a_hash_that_cannot_be_read_costs_the_hash_and_not_the_slide(
    large: Path, tmp_path: Path, classifier: TileClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad_sector(_slide: SlideReader) -> str:
        raise SlideReadError("large.bmp: cannot be read (Input/output error)")

    monkeypatch.setattr(SlideReader, "hash_whole", bad_sector)
    run = classify_slide(large, tmp_path, classifier, mpp=tiny.MPP)
    assert run.answer.tiles.total > 0
    assert run_json(run.folder)["evidence"]["sha256"] is None


def test_one_name_in_two_unicode_spellings_is_one_slide(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    for name in ("u\u0308.png", "\u00fc.png"):  # decomposed as macOS had it, and composed
        (tmp_path / name.encode().hex()).mkdir()
        shutil.copy(slide, tmp_path / name.encode().hex() / name)
    decomposed, composed = sorted(tmp_path.glob("*/*.png"))
    first = classify_slide(decomposed, tmp_path / "out", classifier, mpp=tiny.MPP)
    again = classify_slide(composed, tmp_path / "out", classifier, mpp=tiny.MPP)
    assert again.complete_before
    assert again.folder == first.folder
    assert named(first.folder) == "\u00fc.png"


def test_a_scale_out_of_a_table_of_numbers_is_a_scale(tmp_path: Path, classifier: TileClassifier) -> None:
    folder = draw_folder(tmp_path / "tiles", 12)
    run = classify_slide(folder, tmp_path / "out", classifier, mpp=np.float64(tiny.MPP))
    assert run.answer.tiles.total == 12
