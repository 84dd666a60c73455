"""write_dicom: results and their slide to two files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from her2edge.dicom.annotations import make_annotations
from her2edge.dicom.lazy import Packages, packages, unquoted
from her2edge.dicom.report import make_report
from her2edge.dicom.source import DicomSlide, find_slide, read_slide
from her2edge.dicom.stated import Stated
from her2edge.errors import ResultsError
from her2edge.files import ensure_folder, forget, refuse_link, write_bytes
from her2edge.results.owner import ANNOTATIONS, REPORT
from her2edge.results.read_back import Results, read_results


def check_source(path: str | os.PathLike[str]) -> None:
    """Raise what `write_dicom` would for this slide, before it is classified: no study, say."""
    read_slide(Path(path), packages())


def write_dicom(
    results: str | os.PathLike[str], source: str | os.PathLike[str], out: str | os.PathLike[str]
) -> tuple[Path, ...]:
    """Write a slide's results as DICOM objects into the folder `out`, and return their paths.

    results: the slide's folder, as `classify_slide` leaves it. source: the slide, a file of it, or a folder
    in which it lies. annotations.dcm: Microscopy Bulk Simple Annotations; none where no tile is classified.
    report.dcm: a Comprehensive 3D SR by TID 1500, preliminary and not verified.

    Patient, study and specimen are copied from the slide into both, and nowhere else. UIDs are made from
    slide, model and answer, and dates are those of the run: writing again gives the same bytes.

    Raises MissingInputError; ResultsError for results that are unfinished, changed, or of another slide;
    SlideError for a slide that is no DICOM or has no study; RuntimeUnavailable without the extra `dicom`;
    OutputError.
    """
    modules, finished = packages(), read_results(Path(results))
    slide = read_slide(find_slide(Path(source), finished.run), modules)
    info = finished.summary.slide
    if (info.width, info.height) != (slide.width, slide.height):
        raise ResultsError(
            f"{finished.folder.name}: found results of {info.width} x {info.height} pixels and a slide of "
            f"{slide.width} x {slide.height}: classify the slide again"
        )
    data = make_objects(finished, slide, modules)
    folder = Path(out)
    ensure_folder(folder)
    for name in (ANNOTATIONS, REPORT):
        refuse_link(folder / name)
    forget(folder, *{ANNOTATIONS, REPORT} - set(data))
    for name, one in data.items():
        write_bytes(folder / name, one)
    return tuple(folder / name for name in data)


def make_objects(finished: Results, slide: DicomSlide, modules: Packages) -> dict[str, bytes]:
    """The files by name; no annotations where no tile is classified."""
    stated = Stated(finished, str(slide.image.SOPInstanceUID))
    stated.begun  # noqa: B018 - a time that is none is said before anything is made
    with unquoted(finished.name, "no object can be made with"):
        objects = {
            ANNOTATIONS: make_annotations(slide, stated, modules),
            REPORT: make_report(slide, stated, modules),
        }
        return {name: _bytes(one) for name, one in objects.items() if one is not None}


def _bytes(instance: Any) -> bytes:
    file = io.BytesIO()
    instance.save_as(file, enforce_file_format=True)
    return file.getvalue()
