"""A slide's files: whole or not at all, the conventions of QuPath, nothing that a name can break."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import itertools
import json
import os
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

import her2edge.results as results_room
from her2edge import LABELS, Model, Options, TileClassifier, answer_slide
from her2edge.errors import OutputError, OutputWriteError
from her2edge.files import atomic, ensure_folder
from her2edge.results import SlideInfo, slide_folder, write_outputs
from her2edge.results.colours import LEFT_OUT_COLOUR, class_colours
from her2edge.results.geojson import write_geojson
from her2edge.slide import UnreadableTile

COLOURS = class_colours(Model.load(tiny.INT8))
SLIDE = SlideInfo(
    "=case.svs",
    "ab" * 32,
    0.25,
    width=tiny.SIZE * 8,
    height=tiny.SIZE,
    columns=8,
    rows=1,
    step=float(tiny.SIZE),
)


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


@pytest.fixture(scope="module")
def results(classifier):
    tiles = [
        *tiny.tissue(6),
        tiny.glass(),
        UnreadableTile("=the region is damaged", x=7.0 * tiny.SIZE, slide="=row"),
    ]
    results = list(classifier.stream(tiles))
    votes = [dataclasses.replace(one, quality=(), pooled=True, novelty=0.25) for one in results[:5]]
    out = dataclasses.replace(results[5], quality=("blurred", "compressed"), pooled=False, novelty=1.5)
    return [*votes, out, *results[6:]]


def answered(results):
    return answer_slide(results, Model.load(tiny.INT8), min_tissue_tiles=3)


@pytest.fixture
def written(tmp_path, classifier, results):
    thumbnail = np.full((50, 400, 3), 240, np.uint8)
    paths = write_outputs(tmp_path / "out", classifier, SLIDE, results, answered(results), thumbnail)
    return {path.name: path for path in paths}


def test_all_files_are_there_and_nothing_partial(written):
    folder = written["tiles.csv"].parent
    assert sorted(written) == ["heatmap.png", "summary.json", "tiles.csv", "tiles.geojson"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(written)


def test_every_file_says_research_use_only_and_demo(written):
    for name in ("tiles.csv", "tiles.geojson", "summary.json"):
        text = written[name].read_text()
        assert "Research use only" in text
        assert "synthetic tissue only" in text


def test_the_table_has_a_line_per_tile_with_the_numbers_of_the_result(written, results):
    with written["tiles.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results)
    for row, result in zip(rows, results, strict=True):
        assert row["outcome"] == result.outcome
        assert float(row["x"]) == pytest.approx(result.x, abs=0.01)
        if result.probabilities is not None:
            chances = [float(row[f"p {label}"]) for label in LABELS]
            np.testing.assert_allclose(chances, result.probabilities, atol=1e-6)
            assert row["label"] == result.label
            assert row["pooled"] == ("true" if result.pooled else "false")
            assert float(row["novelty"]) == result.novelty
            assert tuple(row["quality"].split()) == result.quality
        else:
            assert (row["pooled"], row["novelty"], row["quality"]) == ("", "", "")
        assert row["background"] == (result.background or "")
        assert (row["glass_fraction"] == "") == (result.glass_fraction is None)


def test_a_tile_that_does_not_vote_keeps_its_class_and_says_why(written, results):
    features = json.loads(written["tiles.geojson"].read_text())["features"]
    properties = [feature["properties"] for feature in features]
    left_out = [one for one in properties if "left out" in one.get("metadata", {})]
    assert [one["classification"]["name"] for one in left_out] == [f"HER2 {results[5].label}"]
    assert [one["metadata"]["quality"] for one in left_out] == ["blurred compressed"]
    assert [one["measurements"]["novelty"] for one in left_out] == [1.5]
    assert [one["color"] for one in left_out] == [list(LEFT_OUT_COLOUR)]
    assert LEFT_OUT_COLOUR not in COLOURS.values()
    assert sum("metadata" not in one for one in properties) == 5, "the others vote, but for the failed one"
    assert sum("color" in one for one in properties) == 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"novelty": 1.5}, "novel"), ({"novelty": 0.5}, "unfitted"), ({"quality": ("pen",)}, "pen"), ({}, None)],
)
def test_a_tiles_metadata_say_why_it_is_left_out(tmp_path, results, fields, why):
    one = dataclasses.replace(results[0], pooled=why is None, **fields)
    write_geojson(tmp_path / "a.geojson", [one], COLOURS, "ab" * 32, "notice")
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert feature["properties"].get("metadata", {}).get("left out") == why


def test_no_cell_is_a_formula(written):
    with written["tiles.csv"].open(newline="") as file:
        for row in csv.DictReader(file):
            assert not any(value[:1] in ("=", "+", "-", "@") for value in row.values())


def test_geojson_follows_qupaths_conventions(written, results):
    collection = json.loads(written["tiles.geojson"].read_text())
    assert collection["type"] == "FeatureCollection"
    features = collection["features"]
    shown = [result for result in results if result.outcome in ("classified", "failed")]
    assert len(features) == len(shown)
    assert len({feature["id"] for feature in features}) == len(features)
    for feature, result in zip(features, shown, strict=True):
        assert uuid.UUID(feature["id"]).version == 5
        ring = feature["geometry"]["coordinates"][0]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        assert ring[0] == [result.x, result.y]
        assert ring[2] == [result.x + result.span[0], result.y + result.span[1]]
        properties = feature["properties"]
        assert properties["objectType"] == "tile"
        assert properties["classification"]["name"] == (f"HER2 {result.label}" if result.label else "failed")
        color = properties["classification"]["color"]
        assert len(color) == 3
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in color)
        measured = properties.get("measurements", {})
        assert all(isinstance(value, (int, float)) for value in measured.values())
        assert set(measured) == (
            {"p 0/1+", "p 2+", "p 3+", "tissue", "glass", "novelty"} if result.label else set()
        )
        assert all(isinstance(value, str) for value in properties.get("metadata", {}).values())


def test_a_second_export_has_the_same_ids_and_the_same_bytes(tmp_path, classifier, results, written):
    thumbnail = np.full((50, 400, 3), 240, np.uint8)
    again = write_outputs(tmp_path / "again", classifier, SLIDE, results, answered(results), thumbnail)
    for path in again:
        assert path.read_bytes() == written[path.name].read_bytes()


def test_no_file_but_run_json_holds_a_time_a_duration_or_a_path(written, tmp_path):
    for name in ("tiles.csv", "tiles.geojson", "summary.json"):
        text = written[name].read_text()
        assert "seconds" not in text
        assert str(tmp_path) not in text


def test_the_heatmap_shows_each_class_in_its_colour_and_leaves_background_grey(written, results):
    picture = cv2.cvtColor(cv2.imread(str(written["heatmap.png"])), cv2.COLOR_BGR2RGB).astype(float)
    shown = set()
    for i, result in enumerate(results):
        pixel = picture[10, i * 50 + 10]
        if result.label and not result.pooled:
            patch = picture[2:12, i * 50 + 2 : i * 50 + 48]
            assert {tuple(one) for one in patch.reshape(-1, 3)} == {(240, 240, 240), LEFT_OUT_COLOUR}, (
                "hatched"
            )
            shown.add("left out")
        elif result.label:
            opacity = 0.15 + 0.5 * (1.5 * result.confidence - 0.5)
            expected = 240 * (1 - opacity) + np.array(COLOURS[result.label]) * opacity
            np.testing.assert_allclose(pixel, expected, atol=1)
            shown.add(result.label)
        elif result.outcome == "background":
            assert pixel.tolist() == [240, 240, 240]
    assert len(shown) >= 3, "one class alone would not show a swap of colours"


def test_a_folder_of_tiles_gets_no_map_and_no_geojson(tmp_path, classifier, results):
    paths = write_outputs(tmp_path, classifier, SLIDE, results, answered(results), None)
    assert [path.name for path in paths] == ["tiles.csv", "summary.json"]


def test_the_notice_stands_once_beside_the_features_whatever_their_number(written):
    text = written["tiles.geojson"].read_text()
    collection = json.loads(text)
    assert list(collection) == ["type", "notice", "features"], "a foreign member: RFC 7946, section 6.1"
    assert text.count("Research use only") == collection["notice"].count("Research use only") == 1


def test_numbers_of_the_geojson_are_those_of_the_table_in_fewer_decimals(written):
    with written["tiles.csv"].open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == "classified"]
    features = json.loads(written["tiles.geojson"].read_text())["features"]
    places = {"tissue": "tissue_fraction", "glass": "glass_fraction"}
    for row, feature in zip(rows, features[: len(rows)], strict=True):
        for name, value in feature["properties"]["measurements"].items():
            within = 0.00005 if name.startswith("p ") else 0.0005
            assert value == pytest.approx(float(row[places.get(name, name)]), abs=within + 1e-6)
        corner = feature["geometry"]["coordinates"][0][0]
        assert corner == pytest.approx([float(row["x"]), float(row["y"])], abs=0.051)


def test_a_tile_takes_at_most_380_bytes_on_a_large_slide(tmp_path, results):
    """As large as numbers get: five digits of pixels, every decimal written, a novelty."""
    chances = np.array([0.123412, 0.345634, 0.530954], np.float32)
    measured = {"tissue_fraction": 0.987654, "glass_fraction": 0.123456, "novelty": 0.654321}
    tiles = [
        dataclasses.replace(
            results[0], x=512.0 * n, y=49_664.0, span=(512.0, 512.0), probabilities=chances, **measured
        )
        for n in range(20, 117)
    ]
    write_geojson(tmp_path / "a.geojson", tiles, COLOURS, "ab" * 32, "notice")
    assert (tmp_path / "a.geojson").stat().st_size <= 380 * len(tiles)


def test_two_tiles_side_by_side_share_an_edge(tmp_path, results):
    step = 512 * 0.25 / 0.2527
    row = [dataclasses.replace(results[0], x=n * step, span=(step, step)) for n in range(100)]
    write_geojson(tmp_path / "a.geojson", row, COLOURS, "ab" * 32, "notice")
    rings = [
        f["geometry"]["coordinates"][0] for f in json.loads((tmp_path / "a.geojson").read_text())["features"]
    ]
    for one, following in itertools.pairwise(rings):
        assert one[1] == following[0]


def test_whole_numbers_stay_whole_and_fractions_keep_one_decimal(tmp_path, classifier):
    step = 512 * 0.25 / 0.499
    result = dataclasses.replace(
        classifier.classify(tiny.tissue(1)[0]), x=3 * step, y=2 * step, span=(step, step)
    )
    write_geojson(tmp_path / "a.geojson", [result], COLOURS, "ab" * 32, "notice")
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    ring = feature["geometry"]["coordinates"][0]
    assert ring[0] == [769.5, 513]
    assert ring[2] == [1026.1, 769.5]


def test_a_run_that_fails_midway_does_not_pass_for_a_complete_one(tmp_path, classifier, results, monkeypatch):
    summary, thumbnail = answered(results), np.full((50, 400, 3), 240, np.uint8)
    write_outputs(tmp_path, classifier, SLIDE, results, summary, thumbnail)
    (tmp_path / "run.json").write_text("{}")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cv2.imencode", full)
    with pytest.raises(OSError, match="space"):
        write_outputs(tmp_path, classifier, SLIDE, results, summary, thumbnail)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("writes", range(8))
def test_a_disk_that_fills_at_any_sync_leaves_whole_files_only(
    tmp_path, classifier, results, monkeypatch, writes
):
    real, calls = os.fsync, []

    def fails(descriptor):
        calls.append(1)
        if len(calls) == writes + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    thumbnail = np.full((50, 400, 3), 240, np.uint8)
    with contextlib.suppress(OutputWriteError):
        write_outputs(tmp_path, classifier, SLIDE, results, answered(results), thumbnail)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    for path in tmp_path.iterdir():
        assert path.read_bytes().endswith((b"\n", b"IEND\xaeB`\x82"))


@given(st.text(max_size=300), st.sampled_from(["", "../", "/", "..\\", "C:\\", "-", ".", "con.", "nul"]))
def test_no_slide_name_leaves_the_output_folder(name, prefix):
    out = Path("results")
    folder = slide_folder(out, prefix + name, "0123456789abcdef" * 4)
    assert folder.parent == out
    assert folder.name.endswith("-0123456789abcdef")
    assert not folder.name.startswith((".", "-"))
    assert len(folder.name.encode()) <= 140
    assert not set(folder.name) & set('<>:"/\\|?*\0\u202e')
    assert folder.name.split(".")[0].lower() not in {"con", "nul", "aux", "prn"}  # Windows devices


def _write_until(path, error):
    with atomic(path) as file:
        file.write(b"new")
        raise error


def test_what_fails_while_it_is_written_leaves_the_old_file_and_nothing_partial(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(OutputWriteError, match="space"):
        _write_until(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_bug_while_writing_passes_through_and_leaves_nothing_partial(tmp_path):
    with pytest.raises(ZeroDivisionError):
        _write_until(tmp_path / "a.csv", ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match=r"found out, which is no folder, in place of.*--out"):
        ensure_folder(tmp_path / "out" / "slide")


def test_the_public_names_of_the_room_are_complete():
    public = {
        name for name, value in vars(results_room).items()
        if name[0] != "_" and not isinstance(value, type(results_room))
    }  # fmt: skip
    assert sorted(results_room.__all__, key=lambda name: (name[0].islower(), name)) == results_room.__all__
    assert public == set(results_room.__all__)
