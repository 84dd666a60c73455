"""her2edge dicom and classify --dicom."""

from __future__ import annotations

from pathlib import Path

import dicom_results
import faults
import pytest
import small_slide
import tiny
from dicom_results import HOW, Classified
from vl_slides import write_slide

from her2edge_cli.main import main

FIXED = ["--model", str(tiny.INT8), "--threads", "1"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Classified:
    return dicom_results.classified(tmp_path_factory.mktemp("slide"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_slide_of_a_folder_of_results_gets_its_own(
    done: Classified, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["dicom", str(done.results.parent), "--source", str(done.source), "--out", str(tmp_path / "d")]
    )
    assert code == 0
    folder = tmp_path / "d" / done.results.name
    assert names(folder) == {"annotations.dcm", "report.dcm"}
    assert capsys.readouterr().out.splitlines() == [
        str(folder / "annotations.dcm"),
        str(folder / "report.dcm"),
    ]
    again = main(["dicom", str(done.results), "--source", str(done.source), "--out", str(tmp_path / "e")])
    assert again == 0
    for name in names(folder):
        assert (folder / name).read_bytes() == (tmp_path / "e" / done.results.name / name).read_bytes()


def test_one_that_cannot_be_written_costs_no_other(
    done: Classified, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, missing = done.copy(tmp_path), tmp_path / "gone"
    arguments = ["dicom", str(missing), str(own.results), "--source", str(own.source)]
    assert main([*arguments, "--out", str(tmp_path / "d")]) == 3
    assert (tmp_path / "d" / own.results.name / "report.dcm").is_file()
    assert "gone: found no run.json" in capsys.readouterr().err
    assert main(["dicom", str(missing), "--source", str(own.source), "--out", str(tmp_path / "d")]) == 66
    (own.results / "tiles.csv").write_bytes(b"")
    assert main(["dicom", str(own.results), "--source", str(own.source), "--out", str(tmp_path / "d")]) == 65


def test_a_link_below_the_output_folder_is_not_followed(done: Classified, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d" / done.results.name).symlink_to(tmp_path / "elsewhere")
    arguments = ["dicom", str(done.results), "--source", str(done.source), "--out", str(tmp_path / "d")]
    assert main(arguments) == 73
    assert names(tmp_path / "elsewhere") == set()


def test_classify_writes_the_same_objects_and_a_run_without_them_takes_them_away(
    done: Classified, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, out = str(done.source / "s1-l0-p0.dcm"), tmp_path / "out"
    assert main(["classify", slide, "--out", str(out), "--dicom", *FIXED]) == 0
    assert "report.dcm" in capsys.readouterr().out
    (folder,) = out.iterdir()
    assert {"annotations.dcm", "report.dcm", "run.json"} <= names(folder)
    assert main(["dicom", str(folder), "--source", slide, "--out", str(tmp_path / "d")]) == 0
    for name in ("annotations.dcm", "report.dcm"):
        assert (folder / name).read_bytes() == (tmp_path / "d" / folder.name / name).read_bytes()
    assert main(["classify", slide, "--out", str(out), "--dicom", *FIXED]) == 0  # complete results
    assert main(["classify", slide, "--out", str(out), "--min-tissue-tiles", "2", *FIXED]) == 0
    assert not {"annotations.dcm", "report.dcm"} & names(folder)


def test_a_slide_of_another_format_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = small_slide.draw_slide(tmp_path / "a.png")
    code = main(["classify", str(slide), "--out", str(tmp_path / "out"), "--mpp", "0.5", "--dicom", *FIXED])
    assert code == 65
    assert "a.png: found a slide that is not DICOM" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_slide_without_a_study_is_refused_before_it_is_read(tmp_path: Path) -> None:
    how = dicom_results.with_changes({"StudyInstanceUID": None})
    slide = write_slide(tmp_path / "s", dicom_results.draw(tmp_path), how)[0]
    assert main(["classify", str(slide), "--out", str(tmp_path / "out"), "--dicom", *FIXED]) == 65
    assert not (tmp_path / "out").exists()
    assert main(["classify", str(slide), "--out", str(tmp_path / "out"), *FIXED]) == 0


def test_results_stay_where_their_objects_cannot_be_written(tmp_path: Path) -> None:
    slide, out = str(write_slide(tmp_path / "s", dicom_results.draw(tmp_path), HOW)[0]), tmp_path / "out"
    assert main(["classify", slide, "--out", str(out), *FIXED]) == 0
    (folder,) = out.iterdir()
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    with faults.failing_files(1):
        assert main(["classify", slide, "--out", str(out), "--dicom", *FIXED]) == 3
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert main(["classify", slide, "--out", str(out), "--dicom", *FIXED]) == 0


def test_other_instances_in_a_folder_of_slides_are_left_out(
    done: Classified, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects beside the slide that they are of: `classify FOLDER` took them for two slides more."""
    own = done.copy(tmp_path)
    arguments = ["dicom", str(own.results), "--source", str(own.source), "--out", str(own.source)]
    assert main(arguments) == 0
    assert main(["classify", str(own.source), "--out", str(tmp_path / "new"), *FIXED]) == 0
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert "left out are files that are neither slide nor tile of it: 2 .dcm" in capsys.readouterr().err
