"""Folders of slides and lists of slides (`--cohort`) in `classify`, `watch` and `tiles`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tiffs
import tiny
from drawn import SIDE, annotate, make_slide, tiles

from her2edge_cli.main import main
from her2edge_training import synthetic
from her2edge_training.cohort.tile_list import TileList


def slide(path: Path, seed: int = 7, mpp: float | None = tiny.MPP) -> Path:
    """Five by four tiles; a tiled TIFF that states its scale, or none."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], seed)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * 5, tiny.SIZE * 4, tiny.MPP).pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    unit = None if mpp is None else "CENTIMETER"
    resolution = None if mpp is None else (round(1e4 / mpp), round(1e4 / mpp))
    return tiffs.write(path, pixels, resolution=resolution, resolutionunit=unit)


def run(verb: str, *arguments: object) -> int:
    return main([verb, *map(str, arguments), "--model", str(tiny.INT8)])


def scales(out: Path) -> dict[str, float]:
    """um per pixel by the slide's name, as summary.json has them."""
    summaries = [json.loads(path.read_text())["slide"] for path in out.glob("*/summary.json")]
    return {summary["name"]: round(summary["um_per_pixel"], 3) for summary in summaries}


def lines(text: str) -> dict[str, dict[str, Any]]:
    return {line["slide"]: line for line in map(json.loads, text.splitlines())}


def test_classify_takes_a_folder_of_slides_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "b.tif")
    slide(tmp_path / "in" / "sub" / "c.tiff", seed=8)
    (tmp_path / "in" / "a.svs").write_bytes(b"broken")
    (tmp_path / "in" / "notes.txt").write_text("")
    out = tmp_path / "in" / "results"
    assert run("classify", tmp_path / "in", "--out", out) == 3
    assert set(scales(out)) == {"b.tif", "c.tiff"}
    printed = capsys.readouterr()
    assert (
        "in: found 3 slide(s); left out are files that are neither slide nor tile of it: 1 .txt"
        in printed.err
    )
    assert "a.svs" in printed.err
    assert run("classify", tmp_path / "in", "--out", out) == 3  # results in it are no slides
    assert "found 3 slide(s)" in capsys.readouterr().err


def test_a_list_alone_is_enough_and_its_scales_and_patients_are_the_slides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "a.tif", mpp=None)
    slide(tmp_path / "in" / "b.tif", seed=8)
    (tmp_path / "list.csv").write_text(f"slide;patient;mpp;ward\nin/a.tif;P1;{tiny.MPP}\nin/b.tif;P2;\n")
    out = tmp_path / "out"
    assert run("classify", "--cohort", tmp_path / "list.csv", "--out", out, "--json", "--mpp", 1) == 0
    printed = capsys.readouterr()
    assert scales(out) == {"a.tif": tiny.MPP, "b.tif": tiny.MPP}  # --mpp is for those that state none
    assert {name: line["patient"] for name, line in lines(printed.out).items()} == {
        "a.tif": "P1",
        "b.tif": "P2",
    }
    assert "not used are the columns ward" in printed.err
    assert run("classify", "--out", out) == 2
    assert "--cohort" in capsys.readouterr().err
    assert run("classify", "--cohort", tmp_path / "list.csv", "--out", out) == 0
    assert "a.tif of patient P1: " in capsys.readouterr().out


def test_slides_that_are_named_beside_a_list_take_from_it_and_others_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = slide(tmp_path / "in" / "a.tif", mpp=None), slide(tmp_path / "in" / "b.tif", seed=8)
    (tmp_path / "list.csv").write_text(f"slide,mpp\nin/a.tif,{tiny.MPP}\n")
    assert run("classify", first, other, "--cohort", tmp_path / "list.csv", "--out", tmp_path / "out") == 0
    assert "b.tif is not in list.csv" in capsys.readouterr().err
    assert set(scales(tmp_path / "out")) == {"a.tif", "b.tif"}


def test_a_list_that_is_none_ends_before_the_first_slide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, code, word in (
        ("tile,slide,label\n", 65, "her2edge train"),
        ("slide,mpp\ngone.svs,\n", 66, "gone.svs (row 2)"),
        ("slide,mpp\n.,99\n", 65, "row 2"),
    ):
        (tmp_path / "list.csv").write_text(text)
        assert run("classify", "--cohort", tmp_path / "list.csv", "--out", tmp_path / "out") == code
        assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def watch(folder: Path, out: Path, *more: object) -> int:
    return run("watch", folder, "--out", out, "--once", "--still", 0, "--poll", 0.05, "--retries", 0, *more)


def test_a_watched_folder_may_hold_slides_of_two_scanners_and_one_that_states_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "fine.tif", mpp=tiny.MPP / 2)
    slide(tmp_path / "in" / "plain.tif", seed=8)
    slide(tmp_path / "in" / "bare.tif", seed=9, mpp=None)
    slide(tmp_path / "in" / "dpi.tif", seed=10, mpp=25_400 / 72)
    assert watch(tmp_path / "in", tmp_path / "out", "--mpp", tiny.MPP) == 0
    own = round(tiny.MPP / 2, 3)
    given = round(tiny.MPP, 3)
    assert scales(tmp_path / "out") == {
        "fine.tif": own,
        "plain.tif": given,
        "bare.tif": given,
        "dpi.tif": given,
    }
    assert "given with --mpp" not in capsys.readouterr().err


def test_classify_keeps_the_warning_where_mpp_contradicts_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = slide(tmp_path / "in" / "a.tif", mpp=tiny.MPP / 2)
    assert run("classify", path, "--out", tmp_path / "out", "--mpp", tiny.MPP) == 0
    assert scales(tmp_path / "out") == {"a.tif": tiny.MPP}
    assert "given with --mpp" in capsys.readouterr().err


def test_watch_takes_scale_and_patient_from_a_list_by_name_though_slides_are_still_to_arrive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "today" / "a.tif", mpp=None)
    slide(tmp_path / "in" / "b.tif", seed=8)
    listed = f"slide,patient,mpp\na.tif,P1,{tiny.MPP}\ntomorrow.svs,P2,\n"
    (tmp_path / "list.csv").write_text(listed)
    assert watch(tmp_path / "in", tmp_path / "out", "--cohort", tmp_path / "list.csv", "--json") == 0
    printed = capsys.readouterr()
    assert lines(printed.out)["a.tif"]["patient"] == "P1"
    assert "patient" not in lines(printed.out)["b.tif"]
    assert printed.err.count("b.tif is not in list.csv") == 1


def test_tiles_of_a_list_are_of_its_patients_and_sites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("a", "b")):
        make_slide(tmp_path / "in" / f"{name}.png", number)
        annotate(tmp_path / "shapes" / f"{name}.geojson", ("3+", (0, 0, 2, 1)))
    (tmp_path / "list.csv").write_text("slide,patient,site,mpp\nin/a.png,P1,Ulm,0.25\nin/b.png,,,0.25\n")
    shapes = ("--annotations", tmp_path / "shapes", "--tile-px", SIDE)
    out = tmp_path / "out"
    listed = ("--cohort", tmp_path / "list.csv", "--patient", "P9", "--site", "Bonn")
    assert tiles(*listed, *shapes, "--out", out) == 0
    records = TileList.read(out / "cohort.csv").records
    assert {(r.slide, r.patient, r.site) for r in records} == {
        ("a.png", "P1", "Ulm"),
        ("b.png", "P9", "Bonn"),
    }
    assert tiles(tmp_path / "in", *shapes, "--mpp", 0.25, "--out", tmp_path / "two") == 0
    assert len(TileList.read(tmp_path / "two" / "cohort.csv").records) == len(records)
    assert tiles("--cohort", out / "cohort.csv", *shapes, "--out", tmp_path / "three") == 65
    assert "a list of tiles" in capsys.readouterr().err


def test_a_training_that_is_given_a_list_of_slides_names_the_verb_that_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["slide", "mpp"], ["a.svs", "0,25"]])
    command = [
        "train",
        "paper_se_resnet50",
        "--data",
        str(tmp_path / "list.csv"),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(command) == 65
    assert "`her2edge tiles --cohort` cuts tiles from it" in capsys.readouterr().err


def test_a_row_is_for_its_own_file_and_not_for_another_of_the_same_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "a" / "001.tif")
    other = slide(tmp_path / "b" / "001.tif", seed=8)
    (tmp_path / "list.csv").write_text("slide,patient\na/001.tif,P1\n")
    assert run("classify", other, "--cohort", tmp_path / "list.csv", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "P1" not in printed.out
    assert "001.tif is not in list.csv" in printed.err


def test_a_row_that_goes_by_a_name_is_for_one_file_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "a" / "001.tif")
    slide(tmp_path / "in" / "b" / "001.tif", seed=8)
    (tmp_path / "list.csv").write_text("slide,patient\n001.tif,P1\n")
    arguments = ("--cohort", tmp_path / "list.csv", "--out", tmp_path / "out", "--once", "--still", 0)
    assert run("watch", tmp_path / "in", *arguments, "--json") == 0
    printed = capsys.readouterr()
    patients = [json.loads(line).get("patient") for line in printed.out.splitlines()]
    assert sorted(map(str, patients)) == ["None", "P1"]
    assert "of the same name: it is not used here" in printed.err


def test_a_missing_slide_of_a_list_stops_no_command_that_does_not_ask_for_it(tmp_path: Path) -> None:
    path = slide(tmp_path / "a.tif")
    (tmp_path / "list.csv").write_text("sep=;\nslide;patient\na.tif;P1\nmissing.svs;P2\n")
    assert run("classify", path, "--cohort", tmp_path / "list.csv", "--out", tmp_path / "out") == 0
    assert run("classify", "--cohort", tmp_path / "list.csv", "--out", tmp_path / "out") == 66


def test_pictures_among_former_results_are_no_slides_and_a_refused_folder_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "a.tif")
    (tmp_path / "empty").mkdir()
    for name in ("one", "two"):
        out = tmp_path / "in" / name
        assert run("classify", tmp_path / "in", tmp_path / "empty", "--out", out, "--json") == 3
        assert set(scales(out)) == {"a.tif"}
        printed = capsys.readouterr()
        assert set(lines(printed.out)) == {"a.tif", "empty"}
        assert "1 done, 1 refused" in printed.err
