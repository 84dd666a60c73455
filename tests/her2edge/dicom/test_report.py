"""report.dcm and both files together: what they say, what is the same in a second run, what others check."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dicom_results
import highdicom
import msgspec
import pydicom
import pytest
from dicom_results import Classified

from her2edge.dicom import write_dicom
from her2edge.dicom.uids import derived_uid
from her2edge.tile import RESEARCH_USE

KNOWN = "CommonZCoordinateValue"  # which the file has not: dciodvfy reports it all the same
DCIODVFY = shutil.which("dciodvfy") or ""
FORBIDDEN = ("treat", "therap", "trastuzumab", "eligible", "diagnosed")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Classified:
    return dicom_results.classified(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def files(done: Classified, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_dicom(done.results, done.source, tmp_path_factory.mktemp("dicom"))


def answer_of(results: Path) -> dict[str, Any]:
    summary: dict[str, Any] = msgspec.json.decode((results / "summary.json").read_bytes())
    return dict(summary["answer"])


def group_of(path: Path) -> Any:
    report = highdicom.sr.srread(path)
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    (group,) = report.content.get_image_measurement_groups()
    return group


def numbers(group: Any) -> dict[str, float]:
    return {one.name.value: float(one.value) for one in group.get_measurements()}


def coded(group: Any, name: str) -> list[Any]:
    return [one.value for one in group.get_qualitative_evaluations() if one.name.value == name]


def texts(path: Path) -> list[str]:
    return [str(item.TextValue) for item in walk(pydicom.dcmread(path)) if "TextValue" in item]


def walk(data: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    yield data
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item)


def elements(path: Path) -> Iterator[pydicom.DataElement]:
    for data in walk(pydicom.dcmread(path)):
        yield from data


def test_it_says_the_answer_of_the_summary(done: Classified, files: tuple[Path, ...]) -> None:
    answer, group = answer_of(done.results), group_of(files[1])
    (status,) = coded(group, "STATUS")
    assert status.value == answer["status"]
    assert [one.meaning for one in coded(group, "POSSIBLE")] == [
        f"HER2 {label}" for label in answer["labels"]
    ]
    assert [one.value for one in coded(group, "REASON")] == [reason["code"] for reason in answer["reasons"]]
    values = numbers(group)
    for label, share in answer["shares"].items():
        assert values[f"SHARE {label}"] == pytest.approx(share["share"], abs=1e-6)
        assert values[f"P {label}"] == pytest.approx(answer["probabilities"][label], abs=1e-6)
    assert (values["POOLED"], values["TILES"]) == (answer["tiles"]["pooled"], answer["tiles"]["total"])
    said = texts(files[1])
    assert all(reason["sentence"] in said for reason in answer["reasons"])


def test_an_answer_of_a_demo_model_says_so_with_intervals(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    answer = answer_of(own.results)
    answer["status"], answer["labels"], answer["effective_tiles"] = (
        "ambiguous",
        ["2+ (demo model)", "3+"],
        41.5,
    )
    answer["shares"]["3+"] |= {"low": 0.125, "high": 0.5}
    dicom_results.rewrite_summary(own.results, answer=answer)
    group = group_of(write_dicom(own.results, own.source, tmp_path / "dicom")[1])
    assert [one.meaning for one in coded(group, "POSSIBLE")] == [
        "HER2 2+ (demo model)",
        "HER2 3+ (demo model)",
    ]
    assert [one.value for one in coded(group, "POSSIBLE")] == ["LABEL 2+", "LABEL 3+"]
    values = numbers(group)
    assert (values["LOW 3+"], values["HIGH 3+"], values["EFFECTIVE"]) == (0.125, 0.5, 41.5)


def test_it_is_research_of_this_model_and_nobody_signed_it(done: Classified, files: tuple[Path, ...]) -> None:
    report = pydicom.dcmread(files[1])
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    summary = msgspec.json.decode((done.results / "summary.json").read_bytes())
    said = texts(files[1])
    assert summary["notice"] in said
    assert RESEARCH_USE in summary["notice"]
    assert f"model sha256 {summary['model']['sha256']}" in said
    assert {"tiny-int8", summary["model"]["version"]} <= set(said)
    everything = " ".join(str(element.value) for path in files for element in elements(path)).lower()
    assert not [word for word in FORBIDDEN if word in everything]
    assert "research use only" in report.SeriesDescription.lower()


def test_every_own_code_stands_in_the_declared_scheme(files: tuple[Path, ...]) -> None:
    for path in files:
        used = {item.CodingSchemeDesignator for item in walk(pydicom.dcmread(path)) if "CodeMeaning" in item}
        assert used <= {"99HER2EDGE", "DCM", "SCT", "UCUM", "RFC5646", "FDA"}


def test_a_second_run_gives_the_same_bytes_and_dates_of_the_run(done: Classified, tmp_path: Path) -> None:
    own = done.copy(tmp_path)
    dicom_results.rewrite_run(own.results, started="2001-02-03T04:05:06+00:00")
    first = [path.read_bytes() for path in write_dicom(own.results, own.source, tmp_path / "a")]
    paths = write_dicom(own.results, own.source, tmp_path / "a")
    assert [path.read_bytes() for path in paths] == first
    stated = {str(one.value) for path in paths for one in elements(path) if one.VR in ("DA", "TM", "DT")}
    slide = {"20260102", "101112", "20260102101112", "19600101"}
    assert stated - slide == {"20010203", "040506", "20010203040506"}


def test_uids_are_the_answers_own(done: Classified, tmp_path: Path, files: tuple[Path, ...]) -> None:
    own = done.copy(tmp_path)
    answer = answer_of(own.results)
    answer["protocol"]["min_tissue_tiles"] = 11
    dicom_results.rewrite_summary(own.results, answer=answer)
    others = write_dicom(own.results, own.source, tmp_path / "dicom")
    for one, other in zip(files, others, strict=True):
        first, second = pydicom.dcmread(one), pydicom.dcmread(other)
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert first.SOPInstanceUID.is_valid
        assert first.SOPInstanceUID.startswith("2.25.")
    uids = [str(one.value) for path in files for one in elements(path) if one.VR == "UI"]
    assert all(len(uid) <= 64 for uid in uids)
    assert derived_uid("a", "b") == derived_uid("a", "b") != derived_uid("b", "a")


@pytest.mark.skipif(not DCIODVFY, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_has_one_known_complaint(files: tuple[Path, ...]) -> None:
    for path in files:
        run = subprocess.run([DCIODVFY, "-new", str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]
        assert [line for line in errors if KNOWN not in line] == []
        assert KNOWN not in {element.keyword for element in elements(path)}


def test_a_slide_without_tissue_has_a_report_and_no_annotations(tmp_path: Path) -> None:
    done = dicom_results.classified(tmp_path, glass=True)
    out = tmp_path / "dicom"
    out.mkdir()
    (out / "annotations.dcm").write_bytes(b"of a former run")
    (path,) = write_dicom(done.results, done.source, out)
    assert path.name == "report.dcm"
    assert not (out / "annotations.dcm").exists()
    group = group_of(path)
    assert [one.value for one in coded(group, "STATUS")] == ["not_assessable"]
    assert numbers(group)["POOLED"] == 0
    if DCIODVFY:
        run = subprocess.run([DCIODVFY, "-new", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in run.stdout + run.stderr


def test_an_answer_of_regions_is_not_taken_for_that_of_the_slide(
    done: Classified, files: tuple[Path, ...], tmp_path: Path
) -> None:
    copy = done.copy(tmp_path)
    what = {"sha256": "ab" * 32, "classes": ["Tumor"], "places": 24}
    run = msgspec.json.decode((copy.results / "run.json").read_bytes())
    dicom_results.rewrite_run(copy.results, basis=run["basis"] | {"regions": what})
    dicom_results.rewrite_summary(copy.results, regions=what | {"file": "Doe.geojson"})
    made = write_dicom(copy.results, copy.source, tmp_path / "dicom")
    sentence = "Only of the 24 tiles inside regions: Tumor."
    assert sentence in texts(made[1])
    assert any("24 places in regions (Tumor; abababababab)" in one for one in texts(made[1]))
    groups = pydicom.dcmread(made[0]).AnnotationGroupSequence
    assert all(one.AnnotationGroupDescription.endswith(sentence) for one in groups)
    assert b"Doe.geojson" not in made[0].read_bytes() + made[1].read_bytes()
    assert not any("inside regions" in one or "in regions (" in one for one in texts(files[1]))
    assert any("of the whole slide" in one for one in texts(files[1]))
