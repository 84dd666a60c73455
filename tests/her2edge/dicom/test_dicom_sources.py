"""Whose results, which slide, whose patient: what is refused, and what is never said."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import dicom_results
import faults
import pydicom
import pytest
import small_slide
import tiny
from dicom_results import Classified
from vl_slides import Slide, write_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.dicom import check_source, write_dicom
from her2edge.errors import (
    Her2EdgeError,
    MissingInputError,
    OutputError,
    OutputWriteError,
    ResultsError,
    SlideError,
    SlideReadError,
)

SECRETS = ("Jäger", "PAT-77", "19600101", "A-5")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Classified:
    return dicom_results.classified(tmp_path_factory.mktemp("slide"))


def other_slide(folder: Path, **more: Any) -> list[Path]:
    """Of the same size, and white."""
    pixels = dicom_results.draw(folder.parent / "drawn")
    pixels[:] = 250
    return write_slide(folder, pixels, Slide(tile=128, mpp=tiny.MPP, slide=2, container="S2", **more))


def test_the_slide_is_found_by_its_content_among_others(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    other_slide(own.source)
    other_slide(tmp_path / "source" / "inside" / "deeper")
    assert len(write_dicom(own.results, own.source, tmp_path / "a")) == 2
    for path in sorted(own.source.glob("s1-*")):
        assert len(write_dicom(own.results, path, tmp_path / "b")) == 2
    with pytest.raises(ResultsError, match="none of which the results are of"):
        write_dicom(own.results, own.source / "inside", tmp_path / "c")
    with pytest.raises(ResultsError, match="name the slide that was classified"):
        write_dicom(own.results, next(own.source.glob("s2-*")), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_its_own_objects_beside_the_slide_change_nothing(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    first = [path.read_bytes() for path in write_dicom(own.results, own.source, own.source)]
    assert [path.read_bytes() for path in write_dicom(own.results, own.source, own.source)] == first


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_beside_the_slide_is_not_waited_for(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    os.mkfifo(own.source / "pipe.dcm")
    assert len(write_dicom(own.results, own.source, tmp_path / "d")) == 2
    with pytest.raises(SlideReadError, match="found a device or pipe"):
        write_dicom(own.results, own.source / "pipe.dcm", tmp_path / "d")


@pytest.mark.parametrize("name", ["gone.dcm", "gone"])
def test_a_slide_that_is_not_there_is_a_missing_input(done: Classified, tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingInputError, match=f"{name}: no such file or folder"):
        write_dicom(done.results, tmp_path / name, tmp_path / "d")
    with pytest.raises(SlideReadError, match="cannot be looked for"):
        write_dicom(done.results, tmp_path / ("x" * 300), tmp_path / "d")


def test_a_slide_of_another_format_is_to_be_converted(tmp_path: Path) -> None:
    slide = small_slide.draw_slide(tmp_path / "a.png")
    run = classify_slide(
        slide, tmp_path / "out", TileClassifier(Model.load(tiny.INT8), Options(threads=1)), mpp=tiny.MPP
    )
    with pytest.raises(
        MissingInputError, match=r"found no DICOM slide.* convert a slide of another format first"
    ):
        write_dicom(run.folder, tmp_path, tmp_path / "dicom")
    with pytest.raises((SlideError, MissingInputError), match="convert"):
        write_dicom(run.folder, slide, tmp_path / "dicom")
    with pytest.raises(SlideError, match=r"not DICOM.* convert it first"):
        check_source(slide)


@pytest.mark.parametrize("name", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_slide_without_a_study_is_refused_by_name(tmp_path: Path, name: str) -> None:
    done = dicom_results.classified(tmp_path, how=dicom_results.with_changes({name: None}))
    with pytest.raises(SlideError, match=rf"s1-l0-p0\.dcm: found no {name} in the slide"):
        write_dicom(done.results, done.source, tmp_path / "dicom")
    assert not (tmp_path / "dicom").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PatientBirthDate": "1960-01-99"}, "found a PatientBirthDate that is no DA"),
        ({"StudyTime": "noon 77"}, "found a StudyTime that is no TM"),
        ({"PatientSex": "SECRET"}, "found a PatientSex that is none of M, F, O"),
    ],
)
def test_a_value_that_cannot_be_copied_is_named_and_never_shown(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = write_slide(tmp_path / "s", dicom_results.draw(tmp_path), dicom_results.with_changes(changes))[0]
    with pytest.raises(SlideError, match=words) as caught:
        check_source(path)
    assert next(iter(changes.values())) not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100", "ISO_IR 144", "\\ISO 2022 IR 87"])
def test_a_patients_name_is_copied_in_any_script(tmp_path: Path, charset: str) -> None:
    name = {"ISO_IR 144": "Люкceмбypг^A", "\\ISO 2022 IR 87": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"}.get(
        charset, "Jäger^Ödön"
    )
    changes = {"SpecificCharacterSet": charset.split("\\"), "PatientName": name}
    done = dicom_results.classified(tmp_path, how=dicom_results.with_changes(changes))
    for path in write_dicom(done.results, done.source, tmp_path / "dicom"):
        copied = pydicom.dcmread(path)
        assert str(copied.PatientName) == name
        assert (copied.PatientID, copied.AccessionNumber, copied.StudyID) == ("PAT-77", "A-5", "ST1")


def test_nothing_of_the_patient_is_anywhere_else(
    done: Classified, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    own = done.copy(tmp_path)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        paths = write_dicom(own.results, own.source, tmp_path / "dicom")
    out, err = capfd.readouterr()
    said = out + err + caplog.text + " ".join(str(one.message) for one in warned)
    kept = [path for path in own.results.rglob("*") if path.is_file()]
    for secret in SECRETS:
        assert secret not in said
        assert all(secret not in str(path) for path in paths)
        assert all(secret.encode() not in path.read_bytes() for path in kept)


@pytest.mark.parametrize("name", ["tiles.csv", "summary.json"])
def test_results_that_were_changed_are_refused(done: Classified, tmp_path: Path, name: str) -> None:
    own = done.copy(tmp_path)
    (own.results / name).write_bytes((own.results / name).read_bytes() + b"\n")
    with pytest.raises(ResultsError, match=f"{name} that was changed since run.json was written"):
        write_dicom(own.results, own.source, tmp_path / "dicom")


def test_results_of_another_version_or_none_are_refused(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    with pytest.raises(MissingInputError, match=r"found no run\.json, expected a folder of results"):
        write_dicom(own.source, own.source, tmp_path / "dicom")
    dicom_results.rewrite_run(own.results, started="yesterday")
    with pytest.raises(ResultsError, match="without a valid time"):
        write_dicom(own.results, own.source, tmp_path / "dicom")
    dicom_results.rewrite_summary(own.results, schema_version=1)
    with pytest.raises(ResultsError, match="of schema 1, expected 2"):
        write_dicom(own.results, own.source, tmp_path / "dicom")
    (own.results / "run.json").unlink()
    with pytest.raises(ResultsError, match="not finished"):
        write_dicom(own.results, own.source, tmp_path / "dicom")


def test_a_full_disk_leaves_the_former_objects(done: Classified, tmp_path: Path) -> None:
    out = tmp_path / "dicom"
    before = [path.read_bytes() for path in write_dicom(done.results, done.source, out)]
    for n in range(1, 20):
        with faults.failing_files(n) as fault, contextlib.suppress(OutputWriteError):
            write_dicom(done.results, done.source, out)
        assert [path.name for path in sorted(out.iterdir())] == ["annotations.dcm", "report.dcm"]
        assert [path.read_bytes() for path in sorted(out.iterdir())] == before
        if fault.calls < n:
            return
    pytest.fail("never written")


def test_a_link_where_an_object_goes_is_refused(done: Classified, tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "report.dcm").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="found a link"):
        write_dicom(done.results, done.source, tmp_path / "dicom")
    assert not (tmp_path / "elsewhere").exists()


def test_a_truncated_slide_is_no_slide_of_these_results(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    for path in own.source.iterdir():
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(Her2EdgeError):
        write_dicom(own.results, own.source, tmp_path / "dicom")


def test_without_the_extra_it_is_named(done: Classified, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['highdicom'] = None\n"
        "from her2edge.dicom import write_dicom\n"
        "write_dicom(*sys.argv[1:])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(done.results), str(done.source), str(tmp_path / "dicom")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "RuntimeUnavailable: found no highdicom, expected the extra `dicom`" in run.stderr
