"""The table of a results folder: every slide is in it, finished or not, and known scores stand beside."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import dicom_results
import faults
import pytest
import tiny
from drawn import feature, square
from model_v2 import TINY
from page_reader import picture, read_page
from small_slide import contents, draw_slide
from vl_slides import write_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.cohort import read_cohort
from her2edge.errors import MissingInputError, OptionError, OutputError
from her2edge.listing.score import Beside, compared
from her2edge.report import index as index_module
from her2edge.report import write_index
from her2edge.results.read_back import read_records
from her2edge_cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of slides, results folder): two finished slides, one unfinished, one damaged, one set aside."""
    slides, out = tmp_path_factory.mktemp("slides"), tmp_path_factory.mktemp("out")
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    for number, name in enumerate(("a.png", "<b>&.png", "c.png")):
        draw_slide(slides / name, 4 + number, 3)
        classify_slide(slides / name, out, classifier, mpp=tiny.MPP)
    next(out.glob("c.png-*/run.json")).write_text("{")
    (out / "d.png-0123").mkdir()
    (out / "d.png-0123" / "tiles.csv").write_text("slide")
    (out / "failed").mkdir()
    (out / "failed" / "e.json").write_text('{"slide": "e.png", "reason": "e.png: cannot be decoded"}')
    (out / "notes").mkdir()
    return slides, out


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "results")


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf"), "Excel takes it for UTF-8"
    return {row["slide"]: row for row in csv.DictReader(io.StringIO(data[3:].decode()))}


def test_every_slide_is_listed_with_its_state_and_why(folder, made):
    index = write_index(folder, slides=made[0], model=Model.load(TINY[3]))
    rows = rows_of(folder / "results.csv")
    assert {name: row["state"] for name, row in rows.items()} == {
        "a.png": "done",
        "<b>&.png": "done",
        next(folder.glob("c.png-*")).name: "damaged",
        "d.png-0123": "unfinished",
        "e.png": "set aside",
    }
    assert rows["e.png"]["remark"] == "e.png: cannot be decoded"
    assert index.states == {"done": 2, "damaged": 1, "unfinished": 1, "set aside": 1}
    text = read_page(folder / "index.html").text
    for name, row in rows.items():
        assert name in text
        assert row["remark"] in text


def test_the_figures_are_those_of_each_summary(folder):
    write_index(folder)
    for row in rows_of(folder / "results.csv").values():
        if row["state"] != "done":
            assert row["answer"] == row["tiles"] == ""
            continue
        run, summary = read_records(folder / row["folder"])
        answer = summary.answer
        assert row["answer"] == " or ".join(f"{label} (demo model)" for label in answer.labels)
        assert row["reasons"].split() == [one.code.value for one in answer.reasons]
        for label, share in answer.shares.items():
            assert float(row[f"share {label}"] or 0) == pytest.approx(share.share, abs=1e-4)
        outcomes = ("classified", "background", "failed", "dropped", "cancelled", "unread")
        assert sum(int(row[name]) for name in outcomes) == int(row["tiles"]) == answer.tiles.total
        assert (row["model_sha256"], row["started"]) == (summary.model.sha256, run.started)


def test_an_answer_of_regions_is_not_taken_for_that_of_the_slide(made, tmp_path):
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    ring = [[tiny.SIZE * x, tiny.SIZE * y] for x, y in square(0, 0, 3, 2)]
    regions = tmp_path / "drawn.geojson"
    drawn = feature([ring], classification={"name": "Tumor"})
    regions.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    for name, chosen in (("a.png", regions), ("<b>&.png", None)):
        classify_slide(made[0] / name, tmp_path / "out", classifier, mpp=tiny.MPP, regions=chosen)
    write_index(tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "results.csv")
    assert rows["a.png"]["regions"] == "Only of the 6 tiles inside regions: drawn.geojson."
    assert rows["<b>&.png"]["regions"] == ""
    lines = [one for one in read_page(tmp_path / "out" / "index.html").all("tr") if one.all("a")]
    assert [rows["a.png"]["regions"] in one.text for one in lines] == ["a.png" in one.text for one in lines]


def test_links_lead_to_pages_that_are_there_and_names_are_text(folder, made):
    from urllib.parse import unquote

    write_index(folder, slides=made[0])
    tree = read_page(folder / "index.html")
    links = [one.attributes["href"] for one in tree.all("a")]
    assert len(links) == 3
    assert all((folder / unquote(link)).is_file() for link in links)
    assert not tree.all("b", kind="")
    assert not any(node.tag in ("script", "link", "iframe") for node in tree.all("*"))
    assert len(tree.all("img")) == 4, "two finished slides, each with its class map"
    assert all(one.attributes["src"].startswith("data:image/") for one in tree.all("img"))


def test_known_scores_stand_beside_and_slides_without_results_are_listed(folder, made, tmp_path):
    listed = tmp_path / "cohort.csv"
    listed.write_text("slide,patient,score\na.png,P1,IHC 3\n<b>&.png,P2,HER2 1+\ngone.png,P3,2+\n")
    cohort = read_cohort(listed, must_exist=False)
    write_index(folder, cohort=cohort, slides=made[0])
    rows = rows_of(folder / "results.csv")
    assert rows["gone.png"]["state"] == "no results"
    assert rows["gone.png"]["agreement"] == "no answer"
    assert rows["a.png"]["patient"] == "P1"
    for name, label in (("a.png", "3+"), ("<b>&.png", "0/1+")):
        said = rows[name]["answer"]
        expected = "agrees" if said == f"{label} (demo model)" else "differs" if said else "no answer"
        assert rows[name]["agreement"] == expected
    (scores,) = [
        one for one in read_page(folder / "index.html").all("h2") if one.attributes["id"] == "scores"
    ]
    assert scores.text == "Beside 3 known scores"


def test_two_slides_of_one_name_are_told_apart_by_their_content(tmp_path):
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    lines = ["slide,patient,score"]
    for number, patient in enumerate(("P1", "P2")):
        slide = tmp_path / patient / "s.png"
        slide.parent.mkdir()
        draw_slide(slide, 3 + number, 2)
        classify_slide(slide, tmp_path / "out", classifier, mpp=tiny.MPP)
        lines.append(f"{patient}/s.png,{patient},{number + 1}+")
    (tmp_path / "cohort.csv").write_text("\n".join(lines))
    cohort = read_cohort(tmp_path / "cohort.csv")
    write_index(tmp_path / "out", cohort=cohort)
    data = (tmp_path / "out" / "results.csv").read_bytes()[3:].decode()
    for row in csv.DictReader(io.StringIO(data)):
        _, summary = read_records(tmp_path / "out" / row["folder"])
        assert summary.slide.columns == {"P1": 3, "P2": 4}[row["patient"]]
        assert row["score"] == {"P1": "1+", "P2": "2+"}[row["patient"]]


def test_pseudonyms_leave_no_name_where_the_pages_go_and_the_key_stays(folder, made, tmp_path):
    with pytest.raises(OptionError, match="--out"):
        write_index(folder, pseudonym=True)
    out = tmp_path / "pages"
    write_index(folder, slides=made[0], pseudonym=True, out=out)
    names = ("a.png", "&amp;.png", "c.png", "d.png", "e.png")
    for path in out.iterdir():
        assert not any(name in path.read_text("utf-8-sig") for name in names), path
        assert "png" not in path.name
    assert not list(folder.glob("*/report.html"))
    with (folder / "pseudonyms.csv").open(newline="") as file:
        key = {row["pseudonym"]: row["slide"] for row in csv.DictReader(file)}
    assert sorted(key.values()) == ["<b>&.png", "a.png"]
    assert all((out / f"{one}.html").is_file() for one in key)


def test_the_class_map_of_a_row_has_the_form_of_its_grid_and_a_slides_size(folder, made):
    write_index(folder, slides=made[0])
    maps = read_page(folder / "index.html").all("img", kind="map")
    sizes = [picture(one.attributes["src"]).shape for one in maps]
    assert sorted(sizes) == [(58, 96, 3), (72, 96, 3)]  # grids of 5 x 3 and 4 x 3 tiles


def test_a_thousand_slides_are_one_file_of_a_few_megabytes(folder, made, monkeypatch):
    kept = []
    monkeypatch.setattr(index_module, "_write", lambda place, rows, **_: kept.extend(rows))
    write_index(folder, slides=made[0])
    monkeypatch.undo()
    index_module._write(folder, [row for row in kept if row.thumbnails.slide] * 500, pseudonym=False)
    assert (folder / "index.html").stat().st_size < 10_000_000
    assert len(read_page(folder / "index.html").all("tr")) > 1000


def test_the_command_makes_pages_and_says_what_is_missing(folder, made, capsys):
    assert main(["report", str(folder), "--slide", str(made[0]), "--model", str(TINY[3])]) == 3
    assert "2 done" in capsys.readouterr().out
    assert main(["report", str(folder / "nowhere")]) == 66
    assert main(["report", str(made[0])]) == 66, "slides are no results"


def test_whichever_write_fails_every_file_is_whole_or_as_it_was_and_results_stay(folder, tmp_path):
    out = tmp_path / "pages"
    results = contents(folder)
    with faults.failing_files(0) as counted:
        index = write_index(folder, pseudonym=True, out=out)
    whole = contents(out)
    assert len(whole) == 4, "table, index and two pages"
    assert (folder / "pseudonyms.csv").exists()
    for n in range(1, counted.calls + 1):
        for path in index.files:
            path.write_bytes(b"former")
        (folder / "pseudonyms.csv").unlink(missing_ok=True)
        with faults.failing_files(n), pytest.raises(OutputError):
            write_index(folder, pseudonym=True, out=out)
        left = contents(out)
        assert left.keys() == whole.keys(), "nothing half-written"
        assert all(data in (b"former", whole[path]) for path, data in left.items())
        made = [path for path, data in left.items() if data != b"former"]
        if made:
            assert (folder / "pseudonyms.csv").exists(), "pages whose key is lost are of nobody"
        tables = [left[out / name] == b"former" for name in ("index.html", "results.csv")]
        assert not (tables[1] and not tables[0]), "no table refers to rows that are not there"
        (folder / "pseudonyms.csv").unlink(missing_ok=True)
        assert contents(folder) == results


@pytest.mark.skipif("not __import__('os').name == 'posix'", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("size", [0, 100, 3000, 30_000])
def test_a_full_disk_ends_the_command_with_74_and_leaves_results_and_table(folder, made, tmp_path, size):
    out = tmp_path / "pages"
    assert main(["report", str(folder), "--out", str(out)]) == 3
    before, results = contents(out), contents(folder)
    for path in before:
        path.write_bytes(b"former")
    with faults.file_size_limit(size):
        assert main(["report", str(folder), "--slide", str(made[0]), "--out", str(out)]) == 74
    assert contents(folder) == results
    assert contents(out).keys() == before.keys()
    assert (out / "index.html").read_bytes() == b"former"


def test_slides_that_were_given_and_are_not_there_are_said(folder, made, tmp_path, capsys):
    slides = tmp_path / "slides"
    slides.mkdir()
    shutil.copy(made[0] / "a.png", slides)
    for name in ("c.png-", "d.png-", "failed"):
        shutil.rmtree(next(folder.glob(f"{name}*")))
    assert main(["report", str(folder)]) == 0, "none was given"
    assert main(["report", str(folder), "--slide", str(made[0]), "--model", str(TINY[3])]) == 0
    capsys.readouterr()
    assert main(["report", str(folder), "--slide", str(slides), "--model", str(TINY[3])]) == 3
    why = "The slide was not found: its pictures are left out."
    assert f"<b>&.png: {why}" in capsys.readouterr().err
    rows = rows_of(folder / "results.csv")
    assert (rows["a.png"]["remark"], rows["<b>&.png"]["remark"]) == ("", why)
    assert rows["<b>&.png"]["page"], "there is one all the same"


def test_the_one_slide_that_is_given_costs_no_page_of_another(folder, made):
    index = write_index(folder, slides=made[0] / "a.png")
    assert len(index.files) == 4, "both finished slides have a page"
    assert index.problems == ("<b>&.png: The slide was not given: its pictures are left out.",)
    assert len(read_page(next(folder.glob("a.png-*/report.html"))).all("image", id="slide")) == 1


def test_slides_in_dicom_are_found_by_their_content_in_folders_of_their_own(tmp_path):
    """Their files are called alike: a name would find another slide, or none."""
    pixels = dicom_results.draw(tmp_path)
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    for name, width in (("one", pixels.shape[1] // 2), ("two", pixels.shape[1])):
        files = write_slide(tmp_path / "slides" / name, pixels[:, :width], dicom_results.HOW)
        classify_slide(files[0], tmp_path / "results", classifier)
    index = write_index(tmp_path / "results", slides=tmp_path / "slides", model=classifier)
    assert (index.states, index.problems) == ({"done": 2}, ())
    for page in index.files[2:]:
        assert len(read_page(page).all("image", id="slide")) == 1
    shutil.rmtree(tmp_path / "slides" / "two")
    index = write_index(tmp_path / "results", slides=tmp_path / "slides", model=classifier)
    assert len(index.problems) == 1
    assert "The slide was not found" in index.problems[0]


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="no results of a slide"):
        write_index(tmp_path)


def test_an_empty_score_is_no_comparison_and_a_missing_answer_no_agreement():
    assert compared(" ", None) is None
    assert compared("3+", None) is Beside.NO_ANSWER
