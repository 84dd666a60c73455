"""What a whole-slide image in DICOM must state to be read, and what a file lacks of that (PS3.3, A.32.8)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from her2edge.errors import SlideError, SlideReadError
from her2edge.slide.dicom import Head, head_of, slides_beside
from her2edge.slide.dicom_elements import Tag, elements, is_dicom, value_of
from her2edge.slide.pixels import check_form, dicom_form
from her2edge.text import shown

_READ = 16 << 20  # bytes; more than any head has, functional groups included
_ORGANIZATION, _PER_FRAME = (0x0020, 0x9311), (0x5200, 0x9230)
_SHARED, _PIXELS = (0x5200, 0x9229), (0x7FE0, 0x0010)
_ICC_PROFILE = ((0x0048, 0x0105), (0x0028, 0x2000))
_NEEDED: dict[Tag, str] = {
    (0x0008, 0x0008): "ImageType",
    (0x0008, 0x0016): "SOPClassUID",
    (0x0008, 0x0018): "SOPInstanceUID",
    (0x0020, 0x000D): "StudyInstanceUID",
    (0x0020, 0x000E): "SeriesInstanceUID",
    (0x0028, 0x0002): "SamplesPerPixel",
    (0x0028, 0x0004): "PhotometricInterpretation",
    (0x0028, 0x0008): "NumberOfFrames",
    (0x0028, 0x0010): "Rows",
    (0x0028, 0x0011): "Columns",
    (0x0028, 0x0100): "BitsAllocated",
    (0x0048, 0x0006): "TotalPixelMatrixColumns",
    (0x0048, 0x0007): "TotalPixelMatrixRows",
    _SHARED: "SharedFunctionalGroupsSequence",
}
_WITH_IMAGECODECS = {  # by their Transfer Syntax UIDs
    "1.2.840.10008.1.2.5": "RLE",
    **{f"1.2.840.10008.1.2.4.{number}": "JPEG XL" for number in (110, 111, 112)},
    **{f"1.2.840.10008.1.2.4.{number}": "High-Throughput JPEG 2000" for number in (201, 202, 203)},
}
_ALSO = {_ORGANIZATION: "DimensionOrganizationType"}  # said where another is missing; readers do without


def check_dicom(path: Path) -> list[Path]:
    """The files of the slide.

    Raises SlideError where a DICOM file is another object, has pixels that cannot be read, or where
    OpenSlide, which takes all files of a series for one slide, would mix slides; SlideReadError where parts
    are missing, and for what would end OpenSlide's process."""
    head = head_of(path)
    if head.is_other:
        raise SlideError(
            f"{path.name}: found a DICOM object that is no whole-slide image "
            f"(SOP Class {shown(head.sop_class)}), expected the file of a slide: choose that"
        )
    check_form(dicom_form(head), path.name)
    try:
        slides = slides_beside(path)
    except OSError:
        return [path]
    if len(slides) > 1:
        raise SlideError(
            f"{path.name}: found files of {len(slides)} slides with one Series Instance UID in its folder, "
            "expected one slide: put the files of each slide into a folder of their own"
        )
    heads = [(file, head_of(file)) for file in slides[0]]
    _check_parts(path, [head for _, head in heads])
    for file, one in heads:
        if one.organization == "TILED_SPARSE" and value_of(_beginning(file), (_PER_FRAME,)) is None:
            raise _incomplete(path, ["PerFrameFunctionalGroupsSequence"])
    return slides[0]


def _check_parts(path: Path, heads: Iterable[Head]) -> None:
    """Raise SlideReadError where a concatenation is not whole: its other tiles would pass for glass."""
    parts: dict[str, tuple[int, set[int]]] = {}
    for head in heads:
        if head.concatenation and head.parts:
            parts.setdefault(head.concatenation, (head.parts, set()))[1].add(head.part)
    for expected, there in parts.values():
        if len(there) < expected:
            raise SlideReadError(
                f"{path.name}: found {len(there)} of the {expected} files that a level is split into, "
                "expected all: copy every file of the slide into its folder"
            )


def check_largest(path: Path, files: Iterable[Path], size: tuple[int, int]) -> None:
    """Raise SlideReadError where level 0 as it was opened, `size`, is smaller than one that the files state.

    Readers pass over a file that they cannot read, and a smaller level would pass for the slide."""
    largest = max((head_of(file).size for file in files), default=(0, 0))
    if largest > size:
        raise SlideReadError(
            f"{path.name}: found no level of {largest[0]} x {largest[1]} pixels that can be read, which a "
            "file of the slide states: it is damaged or cut off: copy every file of the slide again"
        )


def refuse_incomplete(files: Iterable[Path]) -> None:
    """Raise SlideReadError where level 0 of a slide lacks what every reader needs, by name; nothing where the
    files tell no such thing. Labels and overviews need less, and readers do without a smaller level."""
    heads = [(file, head_of(file)) for file in files]
    levels = [(file, head) for file, head in heads if not head.image_type or "VOLUME" in head.image_type]
    largest = max(((head.columns, head.rows) for _, head in levels), default=None)
    for file, head in levels:
        if (head.columns, head.rows) == largest:
            _refuse_incomplete(file)


def refuse_compression(files: Iterable[Path]) -> None:
    """Raise SlideReadError where only a package that is not installed decodes the tiles."""
    for file in files:
        name = _WITH_IMAGECODECS.get(head_of(file).syntax)
        if name is not None and find_spec("imagecodecs") is None:
            raise SlideReadError(
                f"{file.name}: found tiles compressed by {name}, which wsidicom reads with imagecodecs only: "
                "install that (`pip install imagecodecs`), or convert the slide to JPEG"
            )


def _refuse_incomplete(path: Path) -> None:
    data = _beginning(path)
    if not is_dicom(data):
        return
    seen = {tag for tag, *_ in elements(data)}
    last = _PIXELS if _PIXELS in seen else max(seen, default=(0, 0))
    missing = [name for tag, name in _NEEDED.items() if tag not in seen and tag < last]
    if missing:
        raise _incomplete(path, [*missing, *(name for tag, name in _ALSO.items() if tag not in seen)])
    if _PIXELS not in seen and len(data) < _READ:
        raise SlideReadError(
            f"{path.name}: found a DICOM file that ends before its pixels: it is cut off, copy it again"
        )


def _incomplete(path: Path, names: list[str]) -> SlideReadError:
    return SlideReadError(
        f"{path.name}: found no {', '.join(names)} in the DICOM file, which a whole-slide image must state: "
        "export the slide again, or convert the original with a tool that writes them (wsidicomizer)"
    )


def stored_profile(path: Path) -> bytes:
    """The ICC profile of the first optical path; b"" where there is none."""
    return value_of(_beginning(path), _ICC_PROFILE) or b""


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_READ)
    except OSError:
        return b""
