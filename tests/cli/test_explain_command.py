"""`her2edge explain`: pictures and a table, tile by tile, from a model file or a Keras network."""

from __future__ import annotations

import csv
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tiffs
import tiny
from faults import file_size_limit
from pictures import read, write
from repack import edited, packed

from her2edge import MacenkoNormalizer, Model, SlideReader, TileClassifier
from her2edge.explain import scale_colours
from her2edge.results.explain_sheet import BAR, GAP, LINE, SIDE, words
from her2edge.results.fit_tiles import fit_tiles
from her2edge.tile import LABELS
from her2edge_cli.main import main
from her2edge_training import synthetic


@pytest.fixture
def tiles(tmp_path):
    """Three tiles that can be explained, and what they are named after."""
    return [write(tmp_path / "tiles" / f"t{i}.png", tile.pixels) for i, tile in enumerate(tiny.tissue(3))]


def explain(*arguments, model=tiny.INT8):
    chosen = [] if model is None else ["--model", str(model)]
    return main(["explain", *map(str, arguments), *chosen])


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
    assert explain(tiles[0], "--out", tmp_path / "out", "--label", "2+") == 0
    picture, pixels = read(tmp_path / "out" / "t0.png"), read(tiles[0])
    top, left = GAP + LINE, GAP
    shown = picture[top : top + SIDE, left : left + SIDE]
    enlarged = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(shown, enlarged)
    overlay = TileClassifier(Model.load(tiny.INT8)).explain(pixels, "2+").overlay(enlarged)
    np.testing.assert_array_equal(picture[top : top + SIDE, left + SIDE + GAP : -GAP], overlay)
    assert (picture[: top - 2] < 128).any()  # what is explained
    assert (picture[top + SIDE + GAP + LINE :] < 128).any()  # the notice
    bar = picture[top + SIDE + GAP + 5, 2 * GAP + SIDE + 16 :][:BAR]
    np.testing.assert_array_equal(bar, scale_colours(np.linspace(0, 1, BAR)[None])[0])
    assert picture.shape == (top + SIDE + 2 * GAP + LINE * 3, 2 * SIDE + 3 * GAP, 3)


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
    assert not out.exists()  # nothing was written: none is left


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
        (["--label", "3"], tiny.INT8, 2, "expected one of 0/1+, 2+, 3+"),
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


@pytest.mark.parametrize("choice", ["slide", None], ids=["asked for", "the model's own"])
def test_loose_tiles_of_one_slide_are_explained_by_one_fit_of_them_all(tiles, tmp_path, capsys, choice):
    glass = write(tmp_path / "glass.png", tiny.glass())
    other = write(tmp_path / "other.png", tiny.tissue(1, first=7)[0].pixels[:20])  # too small
    model, extra = tiny.INT8, ()
    if choice is None:
        model = tmp_path / "slide.tflite"
        model.write_bytes(packed(edited(stain__mode="slide")))
    else:
        extra = ("--stain", choice)
    assert explain(*tiles, glass, other, *extra, "--out", tmp_path / "out", model=model) == 3
    pixels = [read(path) for path in tiles]
    fit = MacenkoNormalizer().fit(np.vstack(pixels))
    classifier = TileClassifier(Model.load(tiny.INT8)).with_stain(fit_tiles(pixels))
    rows = table(tmp_path / "out")
    for row, path in zip(rows[:3], tiles, strict=True):
        expected = classifier.classify(read(path))
        assert float(row["probability"]) == pytest.approx(expected.confidence, abs=1e-6)
        assert row["stain_status"] == expected.stain_status
    np.testing.assert_allclose(fit_tiles(pixels).stain_matrix, fit.stain_matrix, atol=0.02)
    assert {row["notice"].rpartition("Stains: ")[2] for row in rows} == {"one fit of all the tiles given."}
    assert "one fit of all the tiles" in capsys.readouterr().err


def test_tiles_without_two_stains_keep_their_colours_and_that_is_said(tmp_path, capsys):
    ink = np.random.default_rng(2).integers((24, 54, 194), (37, 67, 207), (tiny.SIZE, tiny.SIZE, 3))
    tile = write(tmp_path / "ink.png", ink.astype(np.uint8))
    assert explain(tile, "--stain", "slide", "--out", tmp_path / "out") == 0
    (row,) = table(tmp_path / "out")
    expected = TileClassifier(Model.load(tiny.INT8)).with_stain("off").classify(read(tile))
    assert float(row["probability"]) == pytest.approx(expected.confidence, abs=1e-6)
    assert "keep their own colours: found no usable stains" in row["notice"]
    assert "keep their own colours" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("per-tile", "per_tile"), ("off", "off")])
def test_a_stain_mode_is_understood_in_the_commands_and_in_pythons_words(tiles, tmp_path, words):
    command, python = words
    for out, choice in (("one", command), ("two", python)):
        assert explain(*tiles, "--stain", choice, "--out", tmp_path / out) == 0
    assert (tmp_path / "one" / "explain.csv").read_bytes() == (tmp_path / "two" / "explain.csv").read_bytes()


def test_a_full_disk_ends_the_run_with_its_own_code(tiles, tmp_path, capsys):
    with file_size_limit(1000):  # bytes, less than a picture
        assert explain(*tiles, "--out", tmp_path / "out") == 74
    assert capsys.readouterr().err.count("writing failed") == 1


def test_a_missing_keras_says_what_to_install(tiles, tmp_path):
    arguments = ["explain", str(tiles[0]), "--model", str(tmp_path), "--out", str(tmp_path / "out")]
    code = f"""
import sys
for name in ("tensorflow", "keras"):
    sys.modules[name] = None
from her2edge_cli.main import main
raise SystemExit(main({arguments!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    assert "her2edge[train]" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_keras_network_is_explained_by_gradient_to_the_same_pictures(tiles, tmp_path):
    pytest.importorskip("tensorflow", reason="the tiny network is made with TensorFlow")
    import make_tiny_model

    network = make_tiny_model.build()
    network.save(tmp_path / "tiny.keras")
    model = tmp_path / "tiny.tflite"
    model.write_bytes(make_tiny_model.make(network, scheme="fp32"))
    for out, path in (("edge", model), ("keras", tmp_path / "tiny.keras")):
        assert explain(*tiles, "--out", tmp_path / out, "--label", "3+", model=path) == 0
    for edge, by_gradient in zip(table(tmp_path / "edge"), table(tmp_path / "keras"), strict=True):
        for column in ("probability", "peak", "tissue_fraction"):
            assert float(edge[column]) == pytest.approx(float(by_gradient[column]), rel=1e-3)
        assert by_gradient["notice"] == "Research use only. Not for diagnosis."
    for name in ("t0.png", "t1.png", "t2.png"):
        edge, keras = (read(tmp_path / out / name)[:420].astype(int) for out in ("edge", "keras"))
        assert np.abs(edge - keras).mean() < 0.5


def a_slide(tmp_path, columns=8, rows=6):
    """A tiled TIFF that states its scale, of tissue and glass."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * columns, tiny.SIZE * rows, tiny.MPP).pixels
    pixels[: tiny.SIZE, : tiny.SIZE] = 245
    per_cm = round(10_000 / tiny.MPP)
    return tiffs.write(tmp_path / "in" / "case.tif", pixels, resolution=(per_cm, per_cm))


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "in").mkdir()
    return a_slide(tmp_path)


def test_of_a_slide_the_tiles_most_and_least_sure_of_a_class_are_explained_by_their_places(
    slide, tmp_path, capsys
):
    out = tmp_path / "out"
    assert explain(slide, "--out", out, "--label", "2+", "--top", 3) == 0
    model = Model.load(tiny.INT8)
    classifier = TileClassifier(model)
    with SlideReader(slide) as reader:
        tiles = {(tile.x, tile.y): tile for tile in reader.tiles(model)}
    results = {at: classifier.classify(tile) for at, tile in tiles.items()}
    chances = {at: float(r.probabilities[1]) for at, r in results.items() if r.pooled}
    ordered = sorted(chances, key=lambda at: chances[at])
    assert 6 <= len(ordered) < len(tiles)  # some are glass
    rows = table(out)
    assert [row["which"] for row in rows] == ["most"] * 3 + ["least"] * 3
    places = [(float(row["x"]), float(row["y"])) for row in rows]
    assert [chances[at] for at in places] == [chances[at] for at in ordered[::-1][:3] + ordered[:3]]
    assert len(set(places)) == 6
    for row, at in zip(rows, places, strict=True):
        assert row["tile"] == "case.tif"
        assert row["file"].endswith(f"-{at[0]:.0f}-{at[1]:.0f}.png")
        assert float(row["p 2+"]) == pytest.approx(chances[at], abs=1e-6)
        explanation = classifier.explain(tiles[at], "2+")
        assert float(row["peak"]) == pytest.approx(float(explanation.map.max()), rel=1e-5)
        shown = read(out / row["file"])[GAP + LINE : GAP + LINE + SIDE, GAP : GAP + SIDE]
        enlarged = cv2.resize(tiles[at].pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_array_equal(shown, enlarged)
    assert sorted(path.name for path in out.iterdir()) == sorted({"explain.csv", *(r["file"] for r in rows)})
    assert "case.tif: 2+" in capsys.readouterr().out


def test_without_a_label_it_is_the_likeliest_class_and_no_tile_is_in_both_ends(slide, tmp_path):
    assert explain(slide, "--out", tmp_path / "out", "--top", 9) == 0
    rows = table(tmp_path / "out")
    classifier = TileClassifier(Model.load(tiny.INT8))
    with SlideReader(slide) as reader:
        results = list(classifier.stream(reader.tiles(classifier.model)))
    tissue = [result for result in results if result.probabilities is not None]
    voting = [result for result in tissue if result.pooled] or tissue
    mean = np.mean([result.probabilities for result in voting], axis=0)
    assert {row["label"] for row in rows} == {LABELS[int(np.argmax(mean))]}
    places = {(float(row["x"]), float(row["y"])) for row in rows}
    assert len(places) == len(rows) == min(18, len(voting))
    assert places <= {(result.x, result.y) for result in voting}


def test_slides_tiles_and_folders_of_either_may_be_given_together(slide, tiles, tmp_path, capsys):
    (slide.parent / "notes.txt").write_text("")
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide")
    out = tmp_path / "out"
    assert explain(slide.parent, tiles[0].parent, broken, "--out", out, "--top", 1) == 3
    assert [row["tile"] for row in table(out)] == ["t0.png", "t1.png", "t2.png", "case.tif", "case.tif"]
    said = capsys.readouterr().err
    assert "in: found 1 slide(s); left out" in said
    assert "1 .txt" in said
    assert "broken.svs" in said


def test_a_slide_of_glass_and_one_without_scale_are_refused(tmp_path, capsys):
    glass = tiffs.write(tmp_path / "glass.tif", np.full((256, 256, 3), 245, np.uint8))
    assert explain(glass, "--out", tmp_path / "out", "--mpp", tiny.MPP) == 65
    assert "found no tile of tissue" in capsys.readouterr().err
    bare = tiffs.write(tmp_path / "bare.tif", tiffs.picture(), resolution=None, resolutionunit=None)
    assert explain(bare, "--out", tmp_path / "out") == 65
    assert "--mpp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_model_it_is_the_demo_and_a_model_among_the_tiles_is_named(tiles, tmp_path, capsys):
    assert explain(tiles[0], "--out", tmp_path / "out", model=None) == 65
    assert "Demo model" in (said := capsys.readouterr().err)
    assert "expected" in said  # tiles of 512 px
    assert explain(tiny.INT8, tiles[0], "--out", tmp_path / "two", model=None) == 2
    assert "pass the model with --model" in capsys.readouterr().err


def test_tiles_that_are_wrong_alike_are_said_once_with_their_count(tiles, tmp_path, capsys):
    for number in range(7):
        write(tmp_path / "tiles" / f"small{number}.png", tiny.glass()[: 20 + number])
        write(tmp_path / "tiles" / f"glass{number}.png", tiny.glass())
    assert explain(tiles[0].parent, "--out", tmp_path / "out") == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if "not explained" in line]
    assert len(lines) == 2
    assert all("7 of 17 tiles are not explained, the first: " in line for line in lines)
    assert len([row for row in table(tmp_path / "out") if row["error"]]) == 14
