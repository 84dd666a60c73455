"""`her2edge stain`, and the stain option of `her2edge classify`."""

from __future__ import annotations

import contextlib
import csv
import json

import numpy as np
import pytest
import tiny
from faults import failing_files
from pictures import read, write

from her2edge import MacenkoNormalizer, SlideReader
from her2edge.results import fit_slide
from her2edge.stain import StainFit
from her2edge_cli.main import main
from her2edge_training import synthetic


def tissue(number, side=128):
    model = synthetic.make_slide_model("2+", synthetic.SITES[number % 4], 60 + number)
    return synthetic.make_tile(model, 0, side, 0.5).pixels


def stain(*arguments):
    return main(["stain", *map(str, arguments)])


def table(out):
    with (out / "stain.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_images_and_folders_are_normalised_and_shown_before_beside_after(tmp_path, capsys):
    one = write(tmp_path / "one.png", tissue(0))
    write(tmp_path / "folder" / "a" / "two.png", tissue(1))
    write(tmp_path / "folder" / "glass.png", np.full((64, 64, 3), 245, np.uint8))
    out = tmp_path / "out"
    assert stain(one, tmp_path / "folder", "--out", out) == 0
    np.testing.assert_array_equal(read(out / "one.png"), MacenkoNormalizer().normalize(read(one)).pixels)
    np.testing.assert_array_equal(read(out / "glass.png"), 245)
    rows = table(out)
    assert [(row["image"], row["status"], row["source"]) for row in rows] == [
        ("one.png", "ok", "tile"),
        ("a/two.png", "ok", "tile"),
        ("glass.png", "background", "none"),
    ]
    assert all(row["notice"].startswith("Research use only") for row in rows)
    sheet = read(out / "contact-sheet.png")
    assert 2 * 64 < sheet.shape[0] < 2 * 320, "rows are as tall as their pictures"
    said = capsys.readouterr().out
    assert "one.png: normalised" in said
    assert "glass.png: as it was (background)" in said


def test_images_of_one_name_do_not_overwrite_each_other(tmp_path):
    paths = [write(tmp_path / folder / "contact-sheet.png", tissue(i)) for i, folder in enumerate("ab")]
    assert stain(*paths, "--out", tmp_path / "out") == 0
    assert [row["file"] for row in table(tmp_path / "out")] == ["contact-sheet-2.png", "contact-sheet-3.png"]


@pytest.mark.parametrize("profile", ["torchstain", "tiatoolbox"])
def test_a_target_is_fitted_saved_and_used_again(tmp_path, profile):
    target, image = write(tmp_path / "target.png", tissue(1)), write(tmp_path / "one.png", tissue(2))
    fitted, used = tmp_path / "fitted", tmp_path / "used"
    assert stain(image, "--fit", target, "--profile", profile, "--exact", "--out", fitted) == 0
    fit = StainFit.load(fitted / "target.json")
    expected = MacenkoNormalizer(profile, exact=True).fit(read(target))
    np.testing.assert_array_equal(fit.stain_matrix, expected.stain_matrix)
    saved = fitted / "target.json"
    assert stain(image, "--target", saved, "--profile", profile, "--exact", "--out", used) == 0
    assert (used / "one.png").read_bytes() == (fitted / "one.png").read_bytes()


def test_a_target_alone_can_be_made(tmp_path):
    target = write(tmp_path / "target.png", tissue(1))
    assert stain("--fit", target, "--out", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["target.json"]


def test_a_bad_image_costs_that_image(tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    one = write(tmp_path / "one.png", tissue(0))
    assert stain(tmp_path / "bad.png", one, "--out", tmp_path / "out") == 3
    assert [row["image"] for row in table(tmp_path / "out")] == ["one.png"]
    assert "bad.png" in capsys.readouterr().err


BAD = {
    "no image there": (["none.png"], 66, "none.png"),
    "not an image": (["bad.png"], 65, "bad.png"),
    "an empty folder": (["empty"], 66, "empty"),
    "no target there": (["one.png", "--target", "none.json"], 66, "none.json"),
    "a broken target": (["one.png", "--target", "bad.json"], 65, "singular"),
    "a target of another profile": (["one.png", "--target", "other.json"], 65, "profile 'tiatoolbox'"),
    "no target for tiatoolbox": (["one.png", "--profile", "tiatoolbox"], 2, "--fit IMAGE"),
    "glass as a target": (["--fit", "glass.png"], 65, "glass.png"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_its_exit_code(tmp_path, capsys, arguments, code, said):
    write(tmp_path / "one.png", tissue(0))
    write(tmp_path / "glass.png", np.full((64, 64, 3), 245, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text('{"stain_matrix": [[1, 1]] , "max_concentration": [1, 1]}')
    (tmp_path / "bad.json").write_text(
        json.dumps({"stain_matrix": [[0.5, 0.5]] * 3, "max_concentration": [1, 1]})
    )
    fit = MacenkoNormalizer("tiatoolbox").fit(tissue(1))
    fit.save(tmp_path / "other.json")
    with contextlib.chdir(tmp_path):
        assert stain(*arguments, "--out", "out") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    made = tmp_path / "out"
    assert not made.exists() or not list(made.iterdir())


@pytest.mark.parametrize("out", ["images", "images/inside"])
def test_results_never_land_among_their_inputs(tmp_path, capsys, out):
    one = write(tmp_path / "images" / "one.png", tissue(0))
    before = one.read_bytes()
    assert stain(tmp_path / "images", "--out", tmp_path / out) == 2
    assert "another folder" in capsys.readouterr().err
    assert one.read_bytes() == before
    assert stain(one, "--out", tmp_path / "images") == 2
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["one.png"]


def test_a_second_run_into_the_same_folder_leaves_nothing_of_the_first_that_it_does_not_say(tmp_path):
    one, two = (write(tmp_path / name, tissue(i)) for i, name in enumerate(("one.png", "two.png")))
    assert stain(one, "--fit", two, "--out", tmp_path / "out") == 0
    assert stain(two, "--out", tmp_path / "out") == 0
    assert [row["image"] for row in table(tmp_path / "out")] == ["two.png"]
    assert not (tmp_path / "out" / "target.json").exists()


def test_a_full_disk_ends_the_run_whichever_write_meets_it(tmp_path, capsys):
    images = [write(tmp_path / "images" / f"{i}.png", tissue(i)) for i in range(2)]
    codes = []
    while 0 not in codes:
        out = tmp_path / f"out{len(codes)}"
        with failing_files(len(codes) + 1):
            codes.append(stain(*images, "--out", out))
        assert not list(out.glob(".partial-*"))
    assert set(codes[:-1]) == {74}
    assert len(codes) > 4 * 4  # four files are created, written, synced and renamed
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["one.png", "--fit", "a.png", "--target", "macenko"]])
def test_too_little_and_too_much_are_a_wrong_command_line(tmp_path, arguments):
    assert stain(*arguments, "--out", tmp_path / "out") == 2


@pytest.fixture
def slide(tmp_path):
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * 8, tiny.SIZE * 6, tiny.MPP).pixels
    return write(tmp_path / "slide.png", pixels)


def classify(slide, out, *extra):
    """The result folder of one slide, classified by the tiny model."""
    arguments = ["--mpp", str(tiny.MPP), "--model", str(tiny.INT8), "--out", str(out), *map(str, extra)]
    assert main(["classify", str(slide), *arguments]) == 0
    (folder,) = out.iterdir()
    return folder


def test_a_slide_fit_is_made_first_used_for_every_tile_and_kept_with_the_results(slide, tmp_path):
    folder = classify(slide, tmp_path / "one", "--stain", "slide")
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        expected = fit_slide(reader)
    record = json.loads((folder / "summary.json").read_text())["stain"]
    assert record["mode"] == "given"
    assert record["fit"] == expected.to_dict()
    with (folder / "tiles.csv").open(newline="") as file:
        sources = {row["stain_source"] for row in csv.DictReader(file) if row["outcome"] == "classified"}
    assert sources == {"given"}
    again = classify(slide, tmp_path / "two", "--stain", folder / "stain.json")
    for name in ("tiles.csv", "stain.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    made, kept = (json.loads((one / "summary.json").read_text()) for one in (folder, again))
    ways = [one["answer"]["protocol"]["tiles"].pop("stain") for one in (made, kept)]
    assert ways == ["slide", "given"]
    fits = [one["answer"]["protocol"]["tiles"].pop("fits_sha256") for one in (made, kept)]
    assert [fit is None for fit in fits] == [True, False]
    assert made == kept


def test_another_mode_into_the_same_folder_leaves_no_old_fit(slide, tmp_path):
    folder = classify(slide, tmp_path / "out", "--stain", "slide")
    assert (folder / "stain.json").is_file()
    classify(slide, tmp_path / "out", "--stain", "per-tile")
    assert not (folder / "stain.json").exists()


def test_a_slide_without_stains_is_not_assessable_and_says_why(tmp_path, capsys):
    glass = write(tmp_path / "glass.png", np.full((300, 300, 3), 245, np.uint8))
    folder = classify(glass, tmp_path / "out", "--stain", "slide")
    assert json.loads((folder / "summary.json").read_text())["answer"]["status"] == "not_assessable"
    assert "no usable stains" in capsys.readouterr().err


def test_a_slide_of_ink_is_not_assessable_whatever_its_tiles_are_called(tmp_path):
    ink = np.random.default_rng(2).integers((24, 54, 194), (37, 67, 207), (300, 300, 3))
    path = write(tmp_path / "ink.png", ink.astype(np.uint8))
    folder = classify(path, tmp_path / "out", "--stain", "slide", "--min-tissue-tiles", "1")
    record = json.loads((folder / "summary.json").read_text())
    assert record["answer"]["status"] == "not_assessable"
    assert "no usable stains" in record["answer"]["reasons"][0]["sentence"]
    assert record["stain"] == {"mode": "off"}


def test_a_fit_of_another_profile_is_bad_input(slide, tmp_path, capsys):
    MacenkoNormalizer("tiatoolbox").fit(tissue(1)).save(tmp_path / "other.json")
    arguments = [
        "--model",
        str(tiny.INT8),
        "--out",
        str(tmp_path / "out"),
        "--stain",
        str(tmp_path / "other.json"),
    ]
    assert main(["classify", str(slide), *arguments]) == 65
    assert "profile 'tiatoolbox'" in capsys.readouterr().err


@pytest.mark.parametrize(("choice", "code"), [("", 65), ("macenko", 66)])
def test_a_stain_that_is_neither_a_mode_nor_a_file_is_refused(slide, tmp_path, capsys, choice, code):
    arguments = ["--model", str(tiny.INT8), "--out", str(tmp_path / "out"), "--stain", choice]
    assert main(["classify", str(slide), *arguments]) == code
    assert "expected" in capsys.readouterr().err
