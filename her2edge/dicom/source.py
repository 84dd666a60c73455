"""The slide in DICOM that results are of: its file of level 0, and what others' objects must say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2edge.dicom.lazy import Packages, unquoted
from her2edge.errors import MissingInputError, ResultsError, SlideError, SlideReadError
from her2edge.files import look
from her2edge.results.read_back import RunPart
from her2edge.slide import fingerprint_slide
from her2edge.slide.dicom import head_of
from her2edge.slide.parts import name_of, slide_files, slides_below
from her2edge.text import shown

_PER_FRAME = 0x52009230
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_EXPECTED = "the slide in DICOM"
_UTF_8 = "ISO_IR 192"


@dataclass(frozen=True)
class DicomSlide:
    """image: the head of the file of level 0, without functional groups and pixels; text as Unicode.
    width, height: of the total pixel matrix."""

    image: Any
    width: int
    height: int


def check_is_dicom(path: Path) -> None:
    """Raise SlideError for a slide of another format."""
    if path.suffix.lower() != ".dcm":
        raise SlideError(
            f"{name_of(path)}: found a slide that is not DICOM, expected a DICOM slide, since results in "
            f"DICOM belong to its study: convert it first (wsidicomizer), then classify the converted slide"
        )


def find_slide(place: Path, run: RunPart) -> Path:
    """The slide of these results: a file, or one in a folder, by its fingerprint.

    Raises MissingInputError, SlideError for one that is no DICOM, ResultsError where none is theirs.
    """
    kind = _kind_of(place)
    slides = list(slides_below(place)) if kind == "folder" else [place]
    candidates = [path for path in slides if path.suffix.lower() == ".dcm"]
    if not candidates:
        if slides:
            check_is_dicom(slides[0])
        raise MissingInputError(
            f"{shown(place.name)}: found no DICOM slide in the folder, expected the slide of the results: "
            f"convert a slide of another format first (wsidicomizer), then classify it"
        )
    for path in candidates:
        try:
            if fingerprint_slide(path) == run.basis.fingerprint:
                return path
        except SlideReadError:
            continue
    raise ResultsError(
        f"{shown(place.name)}: found {len(candidates)} slide(s) in DICOM, none of which the results are of "
        f"({run.basis.slide}, fingerprint {run.basis.fingerprint[:24]}): name the slide that was classified"
    )


def _kind_of(place: Path) -> str:
    """file or folder; raises MissingInputError, SlideReadError for what is neither."""
    kind = look(place, _EXPECTED, SlideReadError)
    if kind is None:
        raise MissingInputError(f"{shown(place.name)}: no such file or folder, expected {_EXPECTED}")
    if kind == "other":
        raise SlideReadError(f"{shown(place.name)}: found a device or pipe, expected {_EXPECTED}")
    return kind


def read_slide(path: Path, packages: Packages) -> DicomSlide:
    """The slide's level 0. Raises SlideError, SlideReadError where it lacks what such objects need."""
    check_is_dicom(path)
    _kind_of(path)
    try:
        files = slide_files(path)
    except OSError as error:
        raise SlideReadError(f"{name_of(path)}: cannot be read ({error.strerror})") from error
    largest = max(files, key=lambda file: (head_of(file).size, -head_of(file).part, file.name))
    with unquoted(name_of(path), "no object can be made with"):
        with largest.open("rb") as file:
            image = packages.pydicom.filereader.read_partial(
                file, stop_when=lambda tag, _kind, _length: tag >= _PER_FRAME
            )
        missing = [name for name in _NEEDED if not image.get(name)]
        if missing:
            raise SlideError(
                f"{largest.name}: found no {', '.join(missing)} in the slide, which the new objects need: "
                f"convert or export it again with a study"
            )
        for name in _MAY_BE_EMPTY:
            if name not in image:
                setattr(image, name, "")
        image.decode()
        image.SpecificCharacterSet = _UTF_8
        _check_values(image, largest.name, packages)
        width, height = int(image.TotalPixelMatrixColumns), int(image.TotalPixelMatrixRows)
    return DicomSlide(image, width, height)


def _check_values(image: Any, name: str, packages: Packages) -> None:
    """Raise SlideError that names an attribute whose value none of its kind may have; never the value."""
    kinds = packages.pydicom.valuerep
    for keyword, kind in (("PatientBirthDate", "DA"), ("StudyDate", "DA"), ("StudyTime", "TM")):
        try:
            getattr(kinds, kind)(image.get(keyword) or "")
        except ValueError:
            raise SlideError(
                f"{name}: found a {keyword} that is no {kind}, expected PS3.5's form: export the slide again"
            ) from None
    if image.PatientSex not in ("", None, "M", "F", "O"):
        raise SlideError(f"{name}: found a PatientSex that is none of M, F, O: export the slide again")
