"""What no page can be made of is refused; a missing slide costs its pictures, a full disk nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import faults
import made_results
import numpy as np
import pytest
import tiny
from model_v2 import TINY
from page_reader import read_page
from small_slide import draw_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.errors import MissingInputError, OutputError, OutputWriteError, RuntimeUnavailable
from her2edge.report import ResultsError, write_report
from her2edge_cli.main import main


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png", 6, 4)


@pytest.fixture(scope="module")
def made(slide, tmp_path_factory):
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    return classify_slide(slide, tmp_path_factory.mktemp("out"), classifier, mpp=tiny.MPP).folder


@pytest.fixture
def folder(made, tmp_path):
    """Results that may be damaged."""
    return shutil.copytree(made, tmp_path / made.name)


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def rehash(folder: Path, name: str) -> None:
    """run.json says that the file is as it is now."""
    import hashlib
    import json

    run = json.loads((folder / "run.json").read_text())
    run["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "run.json").write_text(json.dumps(run))


def test_another_slide_is_refused_and_nothing_is_written(folder, tmp_path):
    other = draw_slide(tmp_path / "slide.png", 5, 4)
    with pytest.raises(ResultsError, match="fingerprint"):
        write_report(folder, slide=other)
    assert not (folder / "report.html").exists()


def test_another_model_is_refused(folder, slide):
    with pytest.raises(ResultsError, match="results of the model"):
        write_report(folder, slide=slide, model=Model.load(tiny.INT8))
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("version", "advice"), [("1", "classify the slide again"), ("3", "install a newer her2edge")]
)
def test_a_summary_of_another_schema_is_refused(folder, version, advice):
    change(folder / "summary.json", b'"schema_version": 2', b'"schema_version": ' + version.encode())
    rehash(folder, "summary.json")
    with pytest.raises(ResultsError, match=f"schema {version}.*{advice}"):
        write_report(folder)


def test_a_summary_from_before_schemas_is_refused(folder):
    (folder / "summary.json").write_text('{"label": "3+"}')
    rehash(folder, "summary.json")
    with pytest.raises(ResultsError, match="schema 1"):
        write_report(folder)


def test_a_table_with_other_columns_is_refused(folder):
    change(folder / "tiles.csv", b",novelty,", b",newness,")
    rehash(folder, "tiles.csv")
    with pytest.raises(ResultsError, match=r"another version.*novelty"):
        write_report(folder)


@pytest.mark.parametrize("name", ["tiles.csv", "summary.json"])
def test_a_file_that_was_changed_by_hand_is_refused(folder, name):
    change(folder / name, b"background", b"backyard")
    with pytest.raises(ResultsError, match="changed since"):
        write_report(folder)


@pytest.mark.parametrize("name", ["tiles.csv", "summary.json"])
def test_a_file_that_is_gone_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ResultsError, match=name):
        write_report(folder)


def test_tiles_that_the_summary_does_not_count_are_refused(folder):
    change(folder / "tiles.csv", b".00,background,", b".00,failed,")
    rehash(folder, "tiles.csv")
    with pytest.raises(ResultsError, match="other tiles"):
        write_report(folder)


def test_an_unfinished_slide_and_a_folder_of_something_else_are_told_apart(folder, tmp_path):
    (folder / "run.json").unlink()
    with pytest.raises(ResultsError, match="not finished"):
        write_report(folder)
    with pytest.raises(MissingInputError, match=r"no run\.json"):
        write_report(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"basis": 3}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_record_is_refused(folder, data):
    (folder / "run.json").write_bytes(data)
    with pytest.raises(ResultsError, match=r"run\.json"):
        write_report(folder)


def test_a_slide_that_was_moved_away_costs_its_pictures_and_the_command_says_so(folder, tmp_path, capsys):
    code = main(["report", str(folder), "--slide", str(tmp_path / "gone.png"), "--model", str(TINY[3])])
    assert code == 3
    assert "The slide was not found" in capsys.readouterr().err
    tree = read_page(folder / "report.html")
    assert "The slide was not found" in tree.all("section", kind="missing")[0].text
    assert not tree.all("img")


def test_a_slide_that_cannot_be_decoded_costs_its_pictures(folder, tmp_path):
    (tmp_path / "slide.png").write_bytes(b"no picture")
    page = write_report(folder, slide=tmp_path / "slide.png")
    assert any("could not be read" in sentence for sentence in page.left_out)
    assert not page.pictured


def test_a_slide_of_glass_has_a_page_without_tiles_that_vote(tmp_path):
    glass = tmp_path / "glass.png"
    cv2.imwrite(str(glass), np.full((256, 320, 3), 245, np.uint8))
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    folder = classify_slide(glass, tmp_path / "out", classifier, mpp=tiny.MPP).folder
    tree = read_page(write_report(folder, slide=glass, model=classifier).path)
    assert tree.all("p", kind="headline")[0].text == "Not assessable"
    assert tree.text.count("No tile votes.") == 2


def test_results_without_a_single_tile_have_a_page(tmp_path):
    folder = made_results.write(tmp_path, [], 1, 0)
    tree = read_page(write_report(folder, model=Model.load(tiny.INT8)).path)
    (account,) = tree.all("table", kind="account")
    assert all(row.all("td")[0].text == "0" for row in account.all("tr"))
    assert "Nothing: every tile votes." not in tree.text


@pytest.mark.skipif("not __import__('os').name == 'posix'", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("size", [0, 1, 4096, 30_000])
def test_a_full_disk_leaves_the_former_page_and_nothing_half_written(folder, slide, size):
    page = folder / "report.html"
    page.write_text("former")
    with faults.file_size_limit(size), pytest.raises(OutputWriteError, match=r"report\.html"):
        write_report(folder, slide=slide)
    assert page.read_text() == "former"
    assert not list(folder.glob(".partial*"))


def test_whichever_write_fails_the_page_is_whole_or_as_it_was(folder):
    page = write_report(folder).path
    whole = page.read_bytes()
    page.write_text("former")
    with faults.failing_files(0) as counted:
        write_report(folder)
    assert page.read_bytes() == whole
    for n in range(1, counted.calls + 1):
        page.write_text("former")
        with faults.failing_files(n), pytest.raises(OutputError):
            write_report(folder)
        assert page.read_bytes() in (b"former", whole)
        assert not list(folder.glob(".partial*"))


def test_without_jinja2_the_extra_is_named_before_anything_is_read(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(RuntimeUnavailable, match=r"her2edge\[report\]"):
        write_report(folder)
    monkeypatch.setattr("her2edge.extras.find_spec", lambda name: None)
    assert main(["report", str(folder)]) == 78
    assert "her2edge[report]" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_a_page_that_cannot_be_written_costs_no_results(slide, tmp_path, monkeypatch, capsys):
    arguments = ["classify", str(slide), "--out", str(tmp_path), "--mpp", str(tiny.MPP), "--threads", "1"]
    arguments += ["--model", str(TINY[3]), "--report"]

    def full(*_arguments, **_named):
        raise OutputWriteError("report.html: writing failed (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr("her2edge.report.page.write_bytes", full)
        assert main(arguments) == 3
    said = capsys.readouterr()
    assert "report.html" in said.err
    assert "run.json" in said.out
    assert main(arguments) == 0, "the results were kept; the page is made"
    assert "report.html" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*/report.html"))) == 1


def test_a_former_page_made_otherwise_is_made_again(slide, tmp_path, capsys):
    arguments = ["classify", str(slide), "--out", str(tmp_path), "--mpp", str(tiny.MPP), "--threads", "1"]
    arguments += ["--model", str(TINY[3]), "--report"]
    assert main(arguments) == 0
    (page,) = tmp_path.glob("*/report.html")
    whole = page.read_bytes()
    write_report(page.parent, pseudonym=True)
    assert page.read_bytes() != whole
    capsys.readouterr()
    assert main(arguments) == 0
    assert "found complete results" in capsys.readouterr().err, "only the page was to be made"
    assert page.read_bytes() == whole


def test_a_table_of_former_results_is_said_to_be_one(slide, tmp_path, capsys):
    arguments = ["classify", str(slide), "--out", str(tmp_path), "--mpp", str(tiny.MPP), "--threads", "1"]
    assert main(arguments) == 0
    assert main(["report", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    assert "index.html" not in capsys.readouterr().err, "nothing has changed"
    assert main([*arguments, "--fresh"]) == 0
    assert "index.html and results.csv show earlier results" in capsys.readouterr().err
