"""Where nothing can be written complete results are passed over; where a link or a pipe lies, nothing is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from small_slide import classify, contents, draw_folder, draw_slide, fingerprint, folder_of, interrupted_at

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.errors import NotOursError
from her2edge.results import slide_folder
from her2edge.results.journal import open_journal
from her2edge_cli.main import main

posix = pytest.mark.skipif(os.name != "posix", reason="Windows keeps no time of change")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "case.png")


@pytest.fixture(scope="module")
def classifier() -> TileClassifier:
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


# Complete results where nothing can be written


def test_complete_results_are_passed_over_without_a_single_write(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert classify(slide, out) == 0

    def refused(*_arguments: Any, **_named: Any) -> Any:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "unlink", "replace", "rename", "touch", "rmdir"):
        monkeypatch.setattr(Path, name, refused)
    monkeypatch.setattr("her2edge.files.open", refused, raising=False)
    monkeypatch.setattr("sqlite3.connect", refused)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert classify(slide, out) == 0
    assert classify(slide, out, "--fresh") == 73


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become nobody")
def test_complete_results_of_another_user_are_passed_over(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    out, slide = tmp_path / "out", Path(shutil.copy(slide, tmp_path))
    assert not classify_slide(slide, out, classifier, mpp=tiny.MPP).complete_before
    opened = [
        path for path in (tmp_path, *tmp_path.parents) if path.stat().st_uid == 0 and len(path.parts) > 2
    ]
    modes = {path: path.stat().st_mode for path in opened}
    for path in opened:
        path.chmod(0o755)
    os.seteuid(65534)
    try:
        assert not os.access(out, os.W_OK, effective_ids=True)
        assert classify_slide(slide, out, classifier, mpp=tiny.MPP).complete_before
    finally:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode & 0o7777)


def test_a_slide_with_failed_tiles_is_not_complete_on_a_read_only_disk(slide: Path, tmp_path: Path) -> None:
    """It has work left; that it cannot be done is said."""
    tiles = draw_folder(tmp_path / "tiles", 6)
    (tiles / "001.png").write_bytes(b"no picture")
    assert classify(tiles, tmp_path / "out") == 3
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    folder = folder_of(tmp_path / "copy")
    (folder / ".journal.sqlite3").unlink()
    (folder / ".journal.sqlite3").mkdir()
    assert classify(tiles, tmp_path / "copy") == 73


# Links


def target(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


@posix
def test_a_slide_folder_that_is_a_link_is_refused_and_nothing_is_written_there(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, out = target(tmp_path), tmp_path / "out"
    out.mkdir()
    slide_folder(out, slide.name, fingerprint(slide)).symlink_to(outside)
    for more in ([], ["--fresh"]):
        assert classify(slide, out, *more) == 73
        assert "found a link" in capsys.readouterr().err
    assert list(outside.iterdir()) == []


@posix
@pytest.mark.parametrize("name", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("what", ["missing", "empty", "journal", "of two names"])
def test_a_journal_that_is_a_link_is_refused_and_nothing_is_written_there(
    slide: Path, tmp_path: Path, name: str, what: str
) -> None:
    outside, out = target(tmp_path), tmp_path / "out"
    there = outside / "there.sqlite3"
    if what in ("empty", "of two names"):
        there.write_bytes(b"")
    elif what == "journal":
        assert classify(slide, tmp_path / "made", by=interrupted_at(5)) == 130
        shutil.copy(folder_of(tmp_path / "made") / ".journal.sqlite3", there)
    before = contents(outside)
    folder = slide_folder(out, slide.name, fingerprint(slide))
    folder.mkdir(parents=True)
    planted = folder / f".journal.sqlite3{name}"
    planted.hardlink_to(there) if what == "of two names" else planted.symlink_to(there)
    for more in ([], ["--fresh"]):
        assert classify(slide, out, *more) == 73
    assert contents(outside) == before


@posix
@pytest.mark.parametrize("name", ["tiles.csv", "run.json", ".partial-tiles.csv", ".partial-run.json"])
def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(
    slide: Path, tmp_path: Path, name: str
) -> None:
    outside, out = target(tmp_path), tmp_path / "out"
    (outside / "precious").write_text("precious")
    folder = slide_folder(out, slide.name, fingerprint(slide))
    folder.mkdir(parents=True)
    (folder / name).symlink_to(outside / "precious")
    assert classify(slide, out) == 0
    assert (outside / "precious").read_text() == "precious"
    assert not any(path.is_symlink() for path in folder.iterdir())


@posix
def test_a_pipe_in_the_place_of_run_json_is_refused_and_not_waited_for(slide: Path, tmp_path: Path) -> None:
    folder = slide_folder(tmp_path / "out", slide.name, fingerprint(slide))
    folder.mkdir(parents=True)
    os.mkfifo(folder / "run.json")
    assert classify(slide, tmp_path / "out") == 73


def test_a_slide_whose_folder_another_run_has_filled_meanwhile_is_refused(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    """Both had looked before either had begun; the journal's lock decides, and the second looks again."""
    for name in ("a_b.png", "a b.png"):
        shutil.copy(slide, tmp_path / name)
    out = tmp_path / "out"
    run = classify_slide(tmp_path / "a_b.png", tmp_path / "made", classifier, mpp=tiny.MPP)
    folder = slide_folder(out, "a b.png", fingerprint(slide))

    with pytest.MonkeyPatch.context() as patch:
        real = open_journal

        def late(place: Path, *arguments: Any, **more: Any) -> Any:
            if not (place / "run.json").exists():
                shutil.copytree(run.folder, place, dirs_exist_ok=True)
            return real(place, *arguments, **more)

        patch.setattr("her2edge.results.former.open_journal", late)
        with pytest.raises(NotOursError):
            classify_slide(tmp_path / "a b.png", out, classifier, mpp=tiny.MPP)
    assert contents(folder) == {folder / p.name: data for p, data in contents(run.folder).items()}


def test_the_command_does_the_other_slides_when_one_is_refused(slide: Path, tmp_path: Path) -> None:
    names = ["a_b.png", "a b.png", "c.png"]
    for name in names:
        shutil.copy(slide, tmp_path / name)
    paths = [str(tmp_path / name) for name in names]
    fixed = ["--model", str(tiny.INT8), "--threads", "1", "--mpp", str(tiny.MPP)]
    assert main(["classify", *paths, "--out", str(tmp_path / "out"), *fixed]) == 3
    runs = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/run.json")]
    assert sorted(run["basis"]["slide"] for run in runs) == ["a_b.png", "c.png"]
