"""annotations.dcm, read back by the two libraries that others use, against tiles.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dicom_results
import highdicom
import numpy as np
import pydicom
import pytest
import tiny
import wsidicom
from dicom_results import Classified

from her2edge.dicom import write_dicom
from her2edge.dicom.annotations import corners
from her2edge.dicom.codes import long_string, of_label
from her2edge.tile import RESEARCH_USE, Outcome, TileResult

LABELS = ("0/1+", "2+", "3+")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Classified:
    return dicom_results.classified(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def path(done: Classified, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(done.results, done.source, tmp_path_factory.mktemp("dicom"))[0]


def rows_of(done: Classified) -> dict[str, list[dict[str, str]]]:
    """Classified tiles of tiles.csv by the group that they belong to."""
    with (done.results / "tiles.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == "classified"]
    groups = {
        f"HER2 {label}": [r for r in rows if r["label"] == label and r["pooled"] == "true"]
        for label in LABELS
    }
    groups["Tile left out of the answer"] = [row for row in rows if row["pooled"] == "false"]
    return {name: rows for name, rows in groups.items() if rows}


def ring(row: dict[str, str]) -> np.ndarray:
    """The tile's corners by hand."""
    x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32)


def groups_of(path: Path) -> Iterator[Any]:
    yield from highdicom.ann.annread(path).get_annotation_groups()


def test_highdicom_reads_the_tiles_of_the_table(done: Classified, path: Path) -> None:
    expected = rows_of(done)
    assert sum(map(len, expected.values())) > 10
    groups = list(groups_of(path))
    assert [group.label for group in groups] == list(expected)
    for group in groups:
        rows = expected[group.label]
        polygons = group.get_graphic_data(coordinate_type="2D")
        assert group.graphic_type.value == "POLYGON"
        np.testing.assert_array_equal(polygons, [ring(row) for row in rows])
        names, values, units = group.get_measurements()
        assert [name.meaning for name in names] == [f"Probability of HER2 {label}" for label in LABELS]
        assert {(unit.scheme_designator, unit.value) for unit in units} == {("UCUM", "1")}
        wanted = [[float(row[f"p {label}"]) for label in LABELS] for row in rows]
        np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_wsidicom_reads_the_same_beside_the_slide(done: Classified, path: Path) -> None:
    slide = wsidicom.WsiDicom.open([*done.source.iterdir(), path])
    (instance,) = slide.annotations
    expected = rows_of(done)
    assert [group.label for group in instance] == list(expected)
    for group in instance:
        polygons = [[(p.x, p.y) for p in one.geometry.points] for one in group.annotations]
        np.testing.assert_array_equal(polygons, [ring(row) for row in expected[group.label]])
    slide.close()


def test_it_belongs_to_the_slide_and_says_what_made_it(done: Classified, path: Path) -> None:
    image = pydicom.dcmread(done.source / "s1-l0-p0.dcm", stop_before_pixels=True)
    ann = pydicom.dcmread(path)
    assert (ann.AnnotationCoordinateType, ann.PixelOriginInterpretation) == ("2D", "VOLUME")
    (referenced,) = ann.ReferencedImageSequence
    assert referenced.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert ann.StudyInstanceUID == image.StudyInstanceUID
    assert ann.SeriesInstanceUID != image.SeriesInstanceUID
    assert ann.SpecimenDescriptionSequence[0].SpecimenIdentifier == "S1-A"
    assert ann.ContentDescription.startswith(RESEARCH_USE)
    (scheme,) = ann.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99HER2EDGE"
    for group in ann.AnnotationGroupSequence:
        assert RESEARCH_USE in group.AnnotationGroupDescription
        assert "Demo model" in group.AnnotationGroupDescription
        assert group.AnnotationGroupGenerationType == "AUTOMATIC"
        (algorithm,) = group.AnnotationGroupAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "tiny-int8"
        assert len(algorithm.AlgorithmParameters.split("=")[-1].strip().strip("'\"")) == 64


@pytest.mark.parametrize("labels", [2, 4])
def test_a_model_of_other_labels_has_a_group_for_each(tmp_path: Path, labels: int) -> None:
    done = dicom_results.classified(tmp_path, tiny.DATA / f"tiny-{labels}-labels.tflite")
    first, *_ = write_dicom(done.results, done.source, tmp_path / "dicom")
    for group in groups_of(first):
        names, values, _ = group.get_measurements()
        assert len(names) == labels
        assert len({name.value for name in names}) == labels
        np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)


def test_what_of_a_tile_lies_outside_of_the_slide_is_cut_off() -> None:
    one = TileResult("s", 90.0, 80.0, (20.0, 40.0), Outcome.CLASSIFIED)
    np.testing.assert_array_equal(corners([one], 100, 200)[0], [(90, 80), (100, 80), (100, 120), (90, 120)])


@pytest.mark.parametrize("label", ["3+", "a" * 16, "back\\slash", "\u8840\u6db2 +"])
def test_labels_keep_to_the_lengths_of_dicom(label: str) -> None:
    for kind in ("LABEL", "P", "TILE_P", "SHARE", "LOW", "HIGH"):
        value, meaning = of_label(kind, label)
        assert len(meaning) <= 64
        assert len(value) <= 64
        assert "\\" not in value + meaning
    assert long_string("x" * 70) == "x" * 61 + "..."
    assert long_string("a\nb\tc") == "a b c"
