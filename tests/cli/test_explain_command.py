"""`her2edge explain`: pictures and a table, tile by tile, from a model file or a Keras network."""

from __future__ import annotations

import csv
import sys

import cv2
import numpy as np
import pytest
import tiny
from pictures import read, write

from her2edge import MacenkoNormalizer, Model, TileClassifier
from her2edge.errors import OutputWriteError
from her2edge.results.explain_sheet import GAP, LINE, SIDE, words
from her2edge.results.heatmap import wrapped
from her2edge_cli.main import main


@pytest.fixture
def tiles(tmp_path):
    """Three tiles that can be explained, and what they are named after."""
    return [write(tmp_path / "tiles" / f"t{i}.png", tile.pixels) for i, tile in enumerate(tiny.tissue(3))]


def explain(*arguments, model=tiny.INT8):
    return main(["explain", str(model), *map(str, arguments)])


def table(out):
    with (out / "explain.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_tile_becomes_a_picture_and_a_line(tiles, tmp_path, capsys):
    out = tmp_path / "out"
    assert explain(*tiles, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["explain.csv", "t0.png", "t1.png", "t2.png"]
    classifier = TileClassifier(Model.load(tiny.INT8))
    for row, path in zip(table(out), tiles, strict=True):
        explanation = classifier.explain(read(path))
        assert (row["tile"], row["file"], row["error"]) == (path.name, path.name, "")
        assert row["label"] == row["predicted"] == explanation.result.label
        assert float(row["probability"]) == pytest.approx(explanation.result.confidence, abs=1e-6)
        assert float(row["peak"]) == pytest.approx(float(explanation.map.max()), rel=1e-5)
        assert row[f"p {row['label']}"] == row["probability"]
        assert row["notice"].startswith("Research use only. Not for diagnosis. Demo model:")
    said = capsys.readouterr()
    assert "t0.png: " in said.out
    assert "Research use only" in said.err


def test_a_picture_shows_the_tile_beside_its_overlay_between_words(tiles, tmp_path):
    assert explain(tiles[0], "--out", tmp_path / "out", "--class", "2+") == 0
    picture, pixels = read(tmp_path / "out" / "t0.png"), read(tiles[0])
    top, left = GAP + LINE, GAP
    shown = picture[top : top + SIDE, left : left + SIDE]
    enlarged = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(shown, enlarged)
    overlay = TileClassifier(Model.load(tiny.INT8)).explain(pixels, "2+").overlay(enlarged)
    np.testing.assert_array_equal(picture[top : top + SIDE, left + SIDE + GAP : -GAP], overlay)
    assert (picture[: top - 2] < 128).any()  # what is explained
    assert (picture[top + SIDE + GAP :] < 128).any()  # the notice
    assert picture.shape == (top + SIDE + 2 * GAP + LINE * 2, 2 * SIDE + 3 * GAP, 3)


def test_the_words_tell_what_is_explained_and_what_was_predicted():
    labels = ("0/1+", "2+", "3+")
    classifier = TileClassifier(Model.load(tiny.INT8))
    tile = tiny.tissue(1)[0]
    for label in labels:
        explanation = classifier.explain(tile, label)
        result = explanation.result
        chance = result.probabilities[labels.index(label)]
        own = " (predicted)"
        other = f" (predicted: {result.label}, {result.confidence:.3f})"
        expected = f"{label}, probability {chance:.3f}{own if label == result.label else other}"
        assert words(explanation, labels) == expected
    explanation.map[:] = 0
    assert words(explanation, labels).endswith(": nothing in this tile speaks for it")


def test_lines_are_wrapped_within_their_width_and_hold_every_word():
    text = "Research use only. Not for diagnosis. " * 4
    lines = wrapped(text, 300)
    assert len(lines) > 2
    assert " ".join(lines).split() == text.split()
    assert wrapped("naïve", 300) == ["na?ve"]


def test_a_bad_tile_costs_that_tile(tiles, tmp_path, capsys):
    out = tmp_path / "out"
    glass = write(tmp_path / "glass.png", tiny.glass())
    small = write(tmp_path / "=small.png", tiny.glass()[:20])
    (tmp_path / "broken.png").write_bytes(tiles[0].read_bytes()[:300])
    bad = [glass, small, tmp_path / "broken.png", tmp_path / "missing.png"]
    assert explain(tiles[0], *bad, tiles[1], "--out", out) == 3
    rows = table(out)
    assert [row["file"] for row in rows] == ["t0.png", "", "", "", "", "t1.png"]
    assert [row["tile"] for row in rows][1:3] == ["glass.png", "'=small.png"]
    reasons = ("background", "x20 px", "cannot be decoded", "no such file")
    for row, said in zip(rows[1:5], reasons, strict=True):
        assert said in row["error"]
        assert (row["label"], row["peak"]) == ("", "")
    said = capsys.readouterr().err
    for path in bad:
        assert f"her2edge: {path.name}: " in said
    assert str(tmp_path) not in said


@pytest.mark.parametrize(("name", "code"), [("glass.png", 65), ("missing.png", 66)])
def test_without_one_good_tile_the_first_error_is_the_answer(tmp_path, name, code):
    write(tmp_path / "glass.png", tiny.glass())
    out = tmp_path / "out"
    assert explain(tmp_path / name, "--out", out) == code
    assert list(out.iterdir()) == []


def test_a_folder_gives_all_its_tiles(tiles, tmp_path):
    (tmp_path / "empty").mkdir()
    assert explain(tmp_path / "empty", tiles[0].parent, "--out", tmp_path / "out") == 3
    assert [row["tile"] for row in table(tmp_path / "out")] == ["t0.png", "t1.png", "t2.png"]


def test_pictures_of_one_name_do_not_overwrite_each_other(tiles, tmp_path):
    other = write(tmp_path / "other" / "T0.png", tiny.tissue(1)[0].pixels)
    assert explain(*tiles, other, "--out", tmp_path / "out") == 0
    assert [row["file"] for row in table(tmp_path / "out")] == ["t0.png", "t1.png", "t2.png", "T0-2.png"]


def test_pictures_never_land_among_the_tiles(tiles, capsys):
    before = [path.read_bytes() for path in tiles]
    for inputs in (tiles, [tiles[0].parent]):
        assert explain(*inputs, "--out", tiles[0].parent) == 2
        assert "another folder" in capsys.readouterr().err
    assert [path.read_bytes() for path in tiles] == before
    assert len(list(tiles[0].parent.iterdir())) == 3


def test_the_same_tiles_give_the_same_bytes(tiles, tmp_path):
    for out in ("one", "two"):
        assert explain(*tiles, "--out", tmp_path / out) == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "model", "code", "said"),
    [
        (["--class", "3"], tiny.INT8, 2, "expected one of 0/1+, 2+, 3+"),
        (["--stain", "slide"], tiny.INT8, 2, "expected per_tile, off"),
        (["--stain", "none.json"], tiny.INT8, 66, "saved stain fit"),
        ([], "missing.tflite", 66, "no such file"),
        ([], tiny.DATA, 66, "finished training run"),
        ([], "missing.keras", 66, "no model"),
        (["--stain", "off"], tiny.DATA, 2, "as its recipe says"),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_writes_nothing(
    tiles, tmp_path, capsys, arguments, model, code, said
):
    assert explain(tiles[0], "--out", tmp_path / "out", *arguments, model=model) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_is_refused(tiles, tmp_path):
    damaged = tmp_path / "m.tflite"
    data = bytearray(tiny.INT8.read_bytes())
    data[1000] ^= 1
    damaged.write_bytes(data)
    assert explain(tiles[0], "--out", tmp_path / "out", model=damaged) == 78


def test_a_kept_stain_fit_is_used_as_in_classify(tiles, tmp_path):
    fit = MacenkoNormalizer().fit(read(tiles[2]))
    fit.save(tmp_path / "fit.json")
    assert explain(tiles[0], "--out", tmp_path / "out", "--stain", tmp_path / "fit.json") == 0
    classifier = TileClassifier(Model.load(tiny.INT8)).with_stain(fit)
    (row,) = table(tmp_path / "out")
    expected = classifier.classify(read(tiles[0]))
    assert float(row["probability"]) == pytest.approx(expected.confidence, abs=1e-6)


def test_a_full_disk_ends_the_run_with_its_own_code(tiles, tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise OutputWriteError(f"{path.name}: writing failed (disk full)")

    monkeypatch.setattr("her2edge_cli.explain.write_bytes", full)
    assert explain(*tiles, "--out", tmp_path / "out") == 74
    assert capsys.readouterr().err.count("writing failed") == 1


def test_a_missing_keras_says_what_to_install(tiles, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "her2edge_training.network.explain", None)
    assert explain(tiles[0], "--out", tmp_path / "out", model=tmp_path) == 78
    assert "her2edge[train]" in capsys.readouterr().err


def test_a_keras_network_is_explained_by_gradient_to_the_same_pictures(tiles, tmp_path):
    pytest.importorskip("tensorflow", reason="the tiny network is made with TensorFlow")
    import make_tiny_model

    network = make_tiny_model.build()
    network.save(tmp_path / "tiny.keras")
    model = tmp_path / "tiny.tflite"
    model.write_bytes(make_tiny_model.make(network, "fp32"))
    for out, path in (("edge", model), ("keras", tmp_path / "tiny.keras")):
        assert explain(*tiles, "--out", tmp_path / out, "--class", "3+", model=path) == 0
    for edge, by_gradient in zip(table(tmp_path / "edge"), table(tmp_path / "keras"), strict=True):
        for column in ("probability", "peak", "tissue_fraction"):
            assert float(edge[column]) == pytest.approx(float(by_gradient[column]), rel=1e-3)
        assert by_gradient["notice"] == "Research use only. Not for diagnosis."
    for name in ("t0.png", "t1.png", "t2.png"):
        edge, keras = (read(tmp_path / out / name)[:420].astype(int) for out in ("edge", "keras"))
        assert np.abs(edge - keras).mean() < 0.5
