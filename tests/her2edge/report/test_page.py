"""A slide's page: what it says is in the results, what it shows is on the slide, and it asks nobody."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import dicom_results
import made_results
import numpy as np
import pictures
import pytest
import tiny
from drawn import feature, square
from model_v2 import TINY
from page_reader import Node, number, picture, read_page
from repack import edited, packed
from small_slide import draw_slide

from her2edge import Model, Options, Settle, SlideReader, TileClassifier, classify_slide
from her2edge.report import Report, ResultsError, write_report
from her2edge.report.gallery import read_shots
from her2edge.report.own import open_own_slide
from her2edge.results.notices import model_line
from her2edge.results.read_back import read_results

COLUMNS, ROWS = 12, 10


def classified(slide: Path, out: Path, labels: int = 3, **options) -> Path:
    classifier = TileClassifier(Model.load(TINY[labels]), Options(threads=1))
    return classify_slide(slide, out, classifier, mpp=tiny.MPP, **options).folder


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png", COLUMNS, ROWS)


@pytest.fixture(scope="module")
def folder(slide, tmp_path_factory):
    return classified(slide, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def report(folder, slide) -> Report:
    return write_report(folder, slide=slide, model=Model.load(TINY[3]))


@pytest.fixture(scope="module")
def page(report) -> Node:
    return read_page(report.path)


@pytest.fixture(scope="module")
def rows(folder) -> list[dict[str, str]]:
    with (folder / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def section(page: Node, title: str) -> Node:
    (found,) = [one for one in page.all("section") if one.attributes.get("aria-labelledby") == title]
    return found


def tiles_of(page: Node, title: str) -> list[Node]:
    return section(page, title).all("figure", kind="tile")


def place_of(tile: Node) -> tuple[float, float]:
    match = re.search(r"x ([\d.]+), y ([\d.]+)", tile.text)
    assert match, tile.text
    return float(match[1]), float(match[2])


def row_at(rows, place) -> dict[str, str]:
    (row,) = [one for one in rows if (float(one["x"]), float(one["y"])) == place]
    return row


@pytest.mark.parametrize("title", ["most", "doubtful"])
def test_tiles_on_the_page_are_in_the_table_at_their_places_with_their_numbers_and_vote(page, rows, title):
    tiles = tiles_of(page, title)
    assert len(tiles) == 6
    for tile in tiles:
        row = row_at(rows, place_of(tile))
        assert row["pooled"] == "true"
        (chip,) = tile.all("span", kind="chip")
        assert chip.text == row["label"]
        said = dict(re.findall(r"(\S+) (\d\.\d{3})", tile.text))
        assert len(said) == 2
        for label, chance in said.items():
            assert abs(float(row[f"p {label}"]) - float(chance)) <= 0.00051


@pytest.mark.parametrize("title", ["most", "doubtful", "out"])
def test_the_crops_on_the_page_are_those_of_level_0(page, slide, title):
    whole = pictures.read(slide)
    for tile in tiles_of(page, title):
        x, y = map(int, place_of(tile))
        crop = whole[y : y + tiny.SIZE, x : x + tiny.SIZE].astype(int)
        shown = picture(tile.all("img")[0].attributes["src"]).astype(int)
        assert shown.shape == crop.shape
        others = [np.abs(shown - whole[v : v + 64, u : u + 64]).mean() for u, v in ((x ^ 64, y), (x, y ^ 64))]
        assert np.abs(shown - crop).mean() < 6, "JPEG, and no more"
        assert np.abs(shown - crop).mean() < max(others)


def test_the_pixels_that_pictures_are_made_of_are_level_0_exactly(folder, slide):
    results, whole = read_results(folder), pictures.read(slide)
    numbers = dict.fromkeys(range(0, len(results.tiles), 5))
    with open_own_slide(slide, results) as reader:
        shots = list(read_shots(reader, results, numbers))
    assert [shot.number for shot in shots] == list(numbers)
    for shot in shots:
        x, y = int(results.tiles[shot.number].x), int(results.tiles[shot.number].y)
        assert np.array_equal(shot.pixels, whole[y : y + tiny.SIZE, x : x + tiny.SIZE])


def test_the_surest_tiles_are_those_of_the_highest_probability_and_the_doubtful_the_closest(page, rows):
    voting = [row for row in rows if row["pooled"] == "true"]
    assert len(voting) >= 12
    labels = [name for name in rows[0] if name.startswith("p ")]
    highest = sorted(voting, key=lambda row: -float(row[labels[-1]]))[:6]
    assert [place_of(tile) for tile in tiles_of(page, "most")] == [
        (float(row["x"]), float(row["y"])) for row in highest
    ]

    def margin(row):
        first, second = sorted((float(row[name]) for name in labels), reverse=True)[:2]
        return first - second

    closest = sorted((row for row in voting if row not in highest), key=margin)[:6]
    assert [place_of(tile) for tile in tiles_of(page, "doubtful")] == [
        (float(row["x"]), float(row["y"])) for row in closest
    ]


def test_each_of_them_has_a_map_of_what_spoke_for_its_class(page, rows):
    for title, label in (("most", "3+"), ("doubtful", None)):
        for tile in tiles_of(page, title):
            shown, overlay = tile.all("img")
            expected = label or row_at(rows, place_of(tile))["label"]
            assert overlay.attributes["alt"].endswith(f"what speaks for {expected}")
            assert not np.array_equal(picture(shown.attributes["src"]), picture(overlay.attributes["src"]))


def test_every_tile_is_accounted_for_and_the_sums_add_up(page, rows):
    lines = [
        (row.attributes.get("class"), row.all("th")[0].text, number(row.all("td")[0].text))
        for row in section(page, "account").all("tr")
    ]
    outer = {what: count for kind, what, count in lines if kind is None}
    total = next(count for kind, _, count in lines if kind == "sum")
    assert sum(outer.values()) == total == len(rows) == COLUMNS * ROWS
    outcomes = Counter(row["outcome"] for row in rows)
    assert {what: n for what, n in outer.items() if n} == dict(outcomes)
    inner: dict[str, int] = {}
    above = ""
    for kind, what, count in lines:
        if kind is None:
            above = what
        elif kind == "inner":
            inner[above] = inner.get(above, 0) + count
    assert inner == {what: outcomes[what] for what in ("classified", "background")}
    assert ("inner", "vote", sum(row["pooled"] == "true" for row in rows)) in lines


def test_what_was_left_out_has_one_example_of_each_reason_and_their_number(page, rows):
    reasons = Counter(
        row["quality"].split()[0] for row in rows if row["pooled"] == "false" and row["quality"]
    )
    reasons += Counter(row["background"] for row in rows if row["background"])
    counts = [number(re.search(r": ([\d,]+)", tile.text)[1]) for tile in tiles_of(page, "out")]
    novel = sum(row["pooled"] == "false" and not row["quality"] for row in rows)
    assert sorted(counts) == sorted([*reasons.values(), *([novel] if novel else [])])
    for tile in tiles_of(page, "out"):
        assert row_at(rows, place_of(tile))["pooled"] != "true"


def test_the_page_asks_nobody_for_anything_and_runs_nothing(report, page):
    text = report.path.read_text()
    assert not re.search(r"https?:|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    policy = next(one for one in page.all("meta") if "http-equiv" in one.attributes)
    assert policy.attributes["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    for node in page.all("*"):
        assert node.tag not in ("script", "link", "iframe", "object", "embed", "form", "base")
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith(("data:image/", "#")), value[:40]
    assert "url(" not in re.sub(r"url\(#\w+\)", "", text)


def test_every_picture_has_words_for_those_who_do_not_see_it_and_the_page_a_language(page):
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    assert all(len(one.attributes["alt"]) > 5 for one in page.all("img"))
    drawn = page.all("svg")
    assert len(drawn) >= 5
    drawn = [one for one in drawn if one.attributes.get("aria-hidden") != "true"]  # keys, their words beside
    assert all(one.attributes["role"] == "img" and one.attributes["aria-label"] for one in drawn)
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_classes_are_told_by_letters_as_well_as_colours_and_reasons_by_small_ones(page, rows):
    (letters,) = page.all("g", kind="letters")
    words = Counter((one.attributes.get("class"), one.text) for one in letters.all("text"))
    voting = Counter(row["label"][0] for row in rows if row["pooled"] == "true")
    assert {text: n for (kind, text), n in words.items() if kind is None} == dict(voting)
    out = {text for kind, text in words if kind == "out"}
    assert out
    assert all(text.islower() for text in out)


def test_both_pictures_have_a_scale_bar_of_its_length(page, folder):
    slides = page.all("svg", kind="slide")
    assert len(slides) == 2
    um_per_page_px = COLUMNS * tiny.SIZE * tiny.MPP / float(slides[0].attributes["viewbox"].split()[2])
    for one in slides:
        (bar,) = one.all("g", kind="bar")
        assert bar.text.endswith("µm")
        length = float(bar.all("rect")[0].attributes["width"])
        assert length * um_per_page_px == pytest.approx(float(bar.text.split()[0]), rel=0.01)


@pytest.mark.parametrize(("columns", "rows"), [(COLUMNS, ROWS), (60, 1), (1, 60)])
def test_the_bar_is_below_the_picture_and_inside_the_frame_whatever_the_slides_shape(tmp_path, columns, rows):
    folder = made_results.write(tmp_path / "out", made_results.mixed(columns, rows), columns, rows)
    tree = read_page(write_report(folder, model=Model.load(tiny.INT8)).path)
    (one,) = tree.all("svg", kind="slide")
    width, height = map(float, one.attributes["viewbox"].split()[2:])
    (clip,) = one.all("clippath", id="frame")[0].all("rect")
    (bar,) = one.all("g", kind="bar")
    (line,), (text,) = bar.all("rect"), bar.all("text")
    assert float(clip.attributes["height"]) <= float(line.attributes["y"]) <= height - 5
    assert float(line.attributes["width"]) <= width
    assert float(text.attributes["y"]) <= height - 2
    assert 8 * len(bar.text) <= max(width, 60)


def test_the_same_arguments_give_the_same_bytes(report, folder, slide, tmp_path):
    again = write_report(folder, slide=slide, model=Model.load(TINY[3]), out=tmp_path / "again.html")
    assert again.path.read_bytes() == report.path.read_bytes()
    moved = shutil.copytree(folder, tmp_path / "moved" / folder.name)
    third = write_report(moved, slide=slide, model=Model.load(TINY[3]))
    assert third.path.read_bytes() == report.path.read_bytes()


def test_no_number_of_the_page_depends_on_the_clock_but_that_of_run_json(report, folder):
    from her2edge.files import parse_json

    run = parse_json((folder / "run.json").read_bytes(), dict)
    text = report.path.read_text()
    assert run["started"] in text
    assert run["host"] not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text).split()
    assert not any(str(folder.parent) in part for part in (text,))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)<x>.png", "<img src=x onerror=alert(1)>&\"'.png", "{{ 7 * 7 }}.png"]
)
def test_markup_in_a_slides_name_stays_text(slide, tmp_path, name):
    named = tmp_path / name
    shutil.copy(slide, named)
    made = write_report(classified(named, tmp_path / "out"), slide=named)
    tree = read_page(made.path)
    assert tree.all("h1")[0].text == f"HER2 read from H&E: {name}"
    assert tree.all("title")[0].text.endswith(name)
    assert not tree.all("script")
    assert not tree.all("x")
    assert not any("onerror" in node.attributes for node in tree.all("*"))


@pytest.mark.parametrize("labels", [2, 4])
def test_the_heaviest_label_is_the_models_last_with_its_name_and_colour(slide, tmp_path, labels):
    model = Model.load(TINY[labels])
    tree = read_page(write_report(classified(slide, tmp_path, labels), slide=slide, model=model).path)
    last = model.manifest.classes[-1]
    assert section(tree, "most").all("h2")[0].text == f"Tiles that speak most for {last.label} ({last.name})"
    chips = {
        chip.text: chip.attributes["style"]
        for chip in tree.all("table", kind="shares")[0].all("span", kind="chip")
    }
    assert list(chips) == list(model.manifest.labels)
    for one in model.manifest.classes:
        assert chips[one.label].startswith("background:#{:02x}{:02x}{:02x};".format(*one.color))


def test_without_the_model_there_is_no_map_and_the_page_says_so(folder, slide, tmp_path):
    made = write_report(folder, slide=slide, out=tmp_path / "page.html")
    tree = read_page(made.path)
    assert any("Grad-CAM" in sentence for sentence in made.left_out)
    (missing,) = tree.all("section", kind="missing")
    assert missing.text == " ".join(made.left_out)
    for title in ("most", "doubtful"):
        assert all(len(tile.all("img")) == 1 for tile in tiles_of(tree, title))


def test_without_the_slide_there_are_no_pictures_but_every_place_and_number(folder, page, tmp_path):
    made = write_report(folder, model=Model.load(TINY[3]), out=tmp_path / "page.html")
    tree = read_page(made.path)
    assert any("slide was not given" in sentence for sentence in made.left_out)
    assert not made.pictured
    assert not tree.all("img")
    assert not tree.all("image")
    assert list(map(place_of, tiles_of(tree, "most"))) == list(map(place_of, tiles_of(page, "most")))
    assert section(tree, "account").text == section(page, "account").text
    assert len(tree.all("path")) == len(page.all("path")), "the class map needs no slide"


def test_a_slide_whose_stains_were_fitted_once_is_explained_by_the_same_fit(slide, tmp_path):
    made = write_report(classified(slide, tmp_path, stain="slide"), slide=slide, model=Model.load(TINY[3]))
    tiles = [*tiles_of(read_page(made.path), "most"), *tiles_of(read_page(made.path), "doubtful")]
    assert tiles
    assert all(len(tile.all("img")) == 2 for tile in tiles)


def test_a_reading_that_was_stopped_early_counts_and_veils_what_was_not_read(slide, tmp_path):
    folder = classified(slide, tmp_path, settle=Settle(max_tiles=30))
    tree = read_page(write_report(folder, slide=slide, model=Model.load(TINY[3])).path)
    unread = [row for row in section(tree, "account").all("tr") if row.text.startswith("not read")]
    assert [number(row.all("td")[0].text) for row in unread] == [COLUMNS * ROWS - 30]
    (veil,) = tree.all("path", kind="unread")
    assert sum(int(run) for run in re.findall(r"h(\d+)v1h", veil.attributes["d"])) == 30
    with (folder / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for tile in [*tiles_of(tree, "most"), *tiles_of(tree, "doubtful")]:
        assert row_at(rows, place_of(tile))["pooled"] == "true"
        assert len(tile.all("img")) == 2


@pytest.mark.parametrize("most", [None, 30])
def test_of_regions_alone_the_account_and_the_veil_are_those_of_the_places_inside(slide, tmp_path, most):
    rings = [square(0, 0, 6, 5), square(7, 2, 12, 6), square(2, 2, 4, 4)]  # of the first the last is cut out
    rings = [[[tiny.SIZE * x, tiny.SIZE * y] for x, y in ring] for ring in rings]
    drawn = [feature([rings[0], rings[2]]), feature([rings[1]])]
    (tmp_path / "drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": drawn}))
    inside = {(x, y) for x in range(6) for y in range(5)} - {(x, y) for x in (2, 3) for y in (2, 3)}
    inside |= {(x, y) for x in range(7, 12) for y in range(2, 6)}
    settle = None if most is None else Settle(max_tiles=most)
    folder = classified(slide, tmp_path, settle=settle, regions=tmp_path / "drawn.geojson")
    read = {(round(one.x / tiny.SIZE), round(one.y / tiny.SIZE)) for one in read_results(folder).tiles}
    assert len(read) == (most or len(inside))
    tree = read_page(write_report(folder, slide=slide, model=Model.load(TINY[3])).path)
    rows = {row.all("th")[0].text: row.all("td")[0].text for row in section(tree, "account").all("tr")}
    assert number(rows["places inside the regions"]) == len(inside)
    assert [number(count) for what, count in rows.items() if what.startswith("not read")] == [
        len(inside) - len(read)
    ]
    veiled = [one for path in tree.all("path", kind="unread") for one in squares(path)]
    assert sorted(veiled) == sorted(inside - read)
    (outside,) = tree.all("path", kind="outside")
    whole, *rest = squares(outside)
    assert whole == (0, 0), "all of the grid, from which the regions are taken"
    assert sorted(rest[COLUMNS * ROWS - 1 :]) == sorted(inside)


def test_results_that_do_not_say_which_places_were_left_unread_have_no_veil(slide, tmp_path):
    drawn = feature([[[tiny.SIZE * x, tiny.SIZE * y] for x, y in square(0, 0, 10, 10)]])
    (tmp_path / "drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    folder = classified(slide, tmp_path, settle=Settle(max_tiles=30), regions=tmp_path / "drawn.geojson")
    summary = json.loads((folder / "summary.json").read_text())
    del summary["regions"]["runs"]
    dicom_results.rewrite(folder, "summary.json", json.dumps(summary).encode())
    tree = read_page(write_report(folder).path)
    assert not [*tree.all("path", kind="unread"), *tree.all("path", kind="outside")]
    assert "Nothing drawn: background, outside the regions, or not read." in tree.text


@pytest.mark.parametrize("change", [{"runs": [[0, 99_999_999]]}, {"runs": None, "places": 99}])
def test_regions_that_are_not_those_of_the_tiles_are_refused(slide, tmp_path, change):
    drawn = feature([[[tiny.SIZE * x, tiny.SIZE * y] for x, y in square(0, 0, 4, 4)]])
    (tmp_path / "drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    folder = classified(slide, tmp_path, regions=tmp_path / "drawn.geojson")
    summary = json.loads((folder / "summary.json").read_text())
    summary["regions"] |= change
    dicom_results.rewrite(folder, "summary.json", json.dumps(summary).encode())
    with pytest.raises(ResultsError, match="classify the slide again"):
        write_report(folder)


def squares(path: Node) -> list[tuple[int, int]]:
    """(column, row) of every unit square of a path, in its order."""
    found = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", path.attributes["d"])
    return [
        (int(x) + across, int(y) + down)
        for x, y, width, height in found
        for down in range(int(height))
        for across in range(int(width))
    ]


def test_a_folder_of_tiles_has_its_files_for_places_and_no_map(tmp_path):
    from small_slide import draw_folder

    tiles = draw_folder(tmp_path / "tiles", 24)
    classifier = TileClassifier(Model.load(TINY[3]), Options(threads=1))
    folder = classify_slide(tiles, tmp_path / "out", classifier).folder
    tree = read_page(write_report(folder, slide=tiles, model=Model.load(TINY[3])).path)
    assert not tree.all("section", kind="maps")
    shown = tiles_of(tree, "most")
    assert shown
    for tile in shown:
        name = tile.all("span", kind="at")[0].text
        crop = pictures.read(tiles / name).astype(int)
        assert np.abs(picture(tile.all("img")[0].attributes["src"]) - crop).mean() < 6


def test_a_pseudonym_stands_for_the_name_everywhere(slide, tmp_path):
    named = tmp_path / "Doe-Jane-1970.png"
    shutil.copy(slide, named)
    folder = classified(named, tmp_path / "out")
    made = write_report(folder, slide=named, pseudonym=True)
    text = made.path.read_text()
    assert "Doe-Jane" not in text
    assert (
        read_page(made.path).all("h1")[0].text.endswith(read_results(folder).summary.slide.fingerprint[:12])
    )


@pytest.mark.parametrize("day", [None, "2026-11-05"])
def test_the_models_day_is_on_the_page_and_in_the_line_of_the_heatmap(slide, tmp_path, day):
    data = TINY[3].read_bytes()
    if day is not None:
        data = packed(edited(data, created=day), Model.load(TINY[3]).flatbuffer)
    model = Model.from_bytes(data, trust="anyone")
    folder = classify_slide(slide, tmp_path, TileClassifier(model, Options(threads=1)), mpp=tiny.MPP).folder
    facts = section(read_page(write_report(folder, model=model).path), "facts")
    (said,) = [one.all("dd")[0].text for one in facts.all("div") if one.all("dt")[0].text == "Trained"]
    assert said == ("day not stated" if day is None else f"{day}, UTC")
    assert model_line(model).endswith(", trained 2026-11-05") is (day is not None)


def test_a_page_goes_when_its_results_do(slide, tmp_path):
    folder = classified(slide, tmp_path)
    page = write_report(folder).path
    classified(slide, tmp_path)
    assert page.exists(), "the results were complete"
    classified(slide, tmp_path, fresh=True)
    assert not page.exists()


@pytest.mark.slow
def test_twenty_thousand_tiles_of_noise_stay_below_two_and_a_half_megabytes(
    tmp_path, record_property, monkeypatch
):
    """The worst that there can be: no two neighbours alike, and every picture one that JPEG cannot shrink.
    Results are made by hand, so that the model says something else of the tiles: they are explained all the
    same."""
    rng = np.random.default_rng(2)
    sizes = {px: rng.integers(0, 256, (px, px, 3), np.uint8) for px in (256, 1200)}
    monkeypatch.setattr("her2edge.report.gallery._differs", lambda _now, _kept: False)
    monkeypatch.setattr("her2edge.report.view.shrunk", lambda _pixels, most: sizes[most])
    monkeypatch.setattr(SlideReader, "thumbnail", lambda _self, most: sizes[most])
    side, mpp = 142, 2 * tiny.MPP
    noise = np.random.default_rng(1).integers(0, 256, (568, 568, 3), np.uint8)
    slide = tmp_path / "slide.png"
    cv2.imwrite(str(slide), np.tile(noise, (8, 8, 1)))
    folder = made_results.write(
        tmp_path / "out", made_results.mixed(side, side), side, side, slide=slide, mpp=mpp
    )
    made = write_report(folder, slide=slide, model=Model.load(tiny.INT8))
    size = made.path.stat().st_size
    record_property("figure", f"{size / 1e6:.2f} MB of {side * side:,} tiles")
    assert 1_500_000 < size < 2_500_000
    tree = read_page(made.path)
    for tile in [*tiles_of(tree, "most"), *tiles_of(tree, "doubtful")]:
        assert len(tile.all("img")) == 2, "each with its map"
    counts = [number(row.all("td")[0].text) for row in section(tree, "account").all("tr")]
    assert counts[-1] == side * side
