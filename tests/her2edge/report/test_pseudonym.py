"""Under a pseudonym nothing that is written for others holds a slide's name, or a file's named after it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import tiny
from drawn import feature, square
from model_v2 import TINY
from page_reader import read_page
from small_slide import draw_folder, draw_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.errors import OptionError
from her2edge.report import write_index, write_report
from her2edge.results.read_back import read_records

NAME = "Doe Jane 1970"  # in its folder's name it is Doe_Jane_1970
SUFFIXES = (".html", ".csv")


def classified(slide: Path, out: Path, **options) -> Path:
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    return classify_slide(slide, out, classifier, **options).folder


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return draw_slide(tmp_path_factory.mktemp("slide") / f"{NAME}.png", 6, 4)


@pytest.fixture
def results(slide, tmp_path):
    """The folder that was --out."""
    return classified(slide, tmp_path / "results", mpp=tiny.MPP).parent


def assert_nameless(out: Path) -> None:
    """No file of the folder is named Doe, or holds it."""
    files = [path for path in out.rglob("*") if path.suffix in SUFFIXES]
    assert files
    for path in files:
        assert "Doe" not in path.name
        words = re.sub(r"base64,[^\"]*", "", path.read_text("utf-8-sig"))  # pixels may spell anything
        assert "Doe" not in words, path


def test_the_file_of_regions_that_is_called_like_the_slide_is_not_named(slide, tmp_path):
    ring = [[tiny.SIZE * x, tiny.SIZE * y] for x, y in square(0, 0, 3, 3)]
    regions = tmp_path / f"{NAME}.geojson"
    drawn = feature([ring], classification={"name": "Tumor"})
    regions.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    folder = classified(slide, tmp_path / "results", mpp=tiny.MPP, regions=regions)
    assert f"{NAME}.geojson" in write_report(folder).path.read_text()
    write_index(folder.parent, slides=slide, pseudonym=True, out=tmp_path / "pages")
    assert_nameless(tmp_path / "pages")
    _, summary = read_records(folder)
    page = tmp_path / "pages" / f"{summary.slide.fingerprint[:12]}.html"
    assert "Only of the 9 tiles inside regions." in page.read_text()


def test_a_slide_that_cannot_be_read_is_not_named_by_its_error(results, tmp_path):
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / f"{NAME}.png").write_bytes(b"no picture")
    named = write_report(next(results.iterdir()), slide=tmp_path / "slides")
    assert any(NAME in one for one in named.left_out), "else there is nothing to be kept back"
    (tmp_path / "pages").mkdir()
    made = write_report(
        next(results.iterdir()), slide=tmp_path / "slides", pseudonym=True, out=tmp_path / "pages" / "x.html"
    )
    assert_nameless(tmp_path / "pages")
    assert not any("Doe" in one for one in made.left_out)
    assert "without --pseudonym" in " ".join(made.left_out)


def test_a_tile_that_failed_is_not_named_by_its_error(tmp_path):
    tiles = draw_folder(tmp_path / "case", 24)
    for path in tiles.iterdir():
        path.rename(path.with_name(f"Doe-{path.name}"))
    (tiles / "Doe-003.png").write_bytes(b"no picture")
    folder = classified(tiles, tmp_path / "results")
    assert "Doe-003.png" in write_report(folder, slide=tiles).path.read_text()
    (tmp_path / "pages").mkdir()
    write_report(folder, slide=tiles, pseudonym=True, out=tmp_path / "pages" / "x.html")
    assert_nameless(tmp_path / "pages")


def test_results_that_cannot_be_used_are_not_named_by_their_error(results, tmp_path):
    with next(results.glob("*/tiles.csv")).open("a") as file:
        file.write("\n")
    index = write_index(results, pseudonym=True, out=tmp_path / "pages")
    assert_nameless(tmp_path / "pages")
    assert len(index.problems) == 1
    assert "Doe" not in index.problems[0]


def test_a_slide_named_like_a_word_leaves_the_words_as_they_are(tmp_path):
    folder = classified(draw_folder(tmp_path / "model", 24), tmp_path / "results")
    _, summary = read_records(folder)
    (pages := tmp_path / "pages").mkdir()
    text = read_page(write_report(folder, pseudonym=True, out=pages / "x.html").path).text
    assert any("model" in one.sentence for one in summary.answer.reasons)
    assert all(one.sentence in text for one in summary.answer.reasons)


def test_a_folder_that_holds_pages_with_names_is_refused(results, tmp_path):
    out = tmp_path / "pages"
    write_index(results, out=out)
    before = sorted(out.iterdir())
    with pytest.raises(OptionError, match=r"pages: found 1 file.*choose another --out"):
        write_index(results, pseudonym=True, out=out)
    with pytest.raises(OptionError, match="may hold names"):
        write_index(results, pseudonym=True, out=results)
    assert sorted(out.iterdir()) == before
    assert not (results / "pseudonyms.csv").exists()
    for _ in range(2):
        write_index(results, pseudonym=True, out=tmp_path / "others")
    assert_nameless(tmp_path / "others")


def test_two_slides_of_the_same_content_have_a_page_each(slide, results, tmp_path):
    twin = shutil.copy(slide, tmp_path / "Doe John.png")
    classified(twin, results, mpp=tiny.MPP, min_tissue_tiles=4321)
    index = write_index(results, pseudonym=True, out=tmp_path / "pages")
    assert_nameless(tmp_path / "pages")
    pages = [path.name for path in index.files[2:]]
    assert len(set(pages)) == 2
    with (results / "pseudonyms.csv").open(newline="") as file:
        key = {row["slide"]: row["pseudonym"] for row in csv.DictReader(file)}
    assert sorted(pages) == sorted(f"{one}.html" for one in key.values())
    said = (tmp_path / "pages" / f"{key['Doe John.png']}.html").read_text()
    assert "4321" in said
    assert "4321" not in (tmp_path / "pages" / f"{key[f'{NAME}.png']}.html").read_text()
