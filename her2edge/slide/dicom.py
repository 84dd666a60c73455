"""What the head of a DICOM file says: which slide it belongs to, and what its pixels are.

A slide is a series, and each of its levels a file or more; but who makes files anonymous may give all of a
folder one series. Only the head is read, element by element, as in DICOM PS3.5, 7.1 (explicit VR,
little-endian: what every compressed whole-slide image has).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_HEAD = 64 * 1024
_MAGIC, _MAGIC_AT = b"DICM", 128
_ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_ASKED = {
    (0x0008, 0x0008): "ImageType",
    (0x0008, 0x0018): "SOPInstanceUID",
    (0x0010, 0x0020): "PatientID",
    (0x0020, 0x000D): "StudyInstanceUID",
    (0x0020, 0x000E): "SeriesInstanceUID",
    (0x0020, 0x9161): "ConcatenationUID",
    (0x0028, 0x0002): "SamplesPerPixel",
    (0x0028, 0x0004): "PhotometricInterpretation",
    (0x0028, 0x0100): "BitsAllocated",
    (0x0028, 0x0101): "BitsStored",
    (0x0028, 0x0103): "PixelRepresentation",
    (0x0040, 0x0512): "ContainerIdentifier",
    (0x0048, 0x0006): "TotalPixelMatrixColumns",
    (0x0048, 0x0007): "TotalPixelMatrixRows",
}
_LAST = max(_ASKED)
_NUMBERS = {b"US": "<H", b"UL": "<I"}
_YOUNG = 100_000_000  # ns; what is written within a tick of the file system's clock has one time

Head = dict[str, str | int]


def head_of(path: Path) -> Head:
    """The elements asked for, by keyword, of those that are stated; none where it is no DICOM file."""
    try:
        looks = path.stat()
        return _head_of(os.fspath(path), looks.st_size, looks.st_mtime_ns)
    except OSError:
        return {}


def series_of(path: Path) -> str | None:
    """The file's Series Instance UID; None where it states none, or cannot be read."""
    series = head_of(path).get("SeriesInstanceUID")
    return str(series) if series else None


def slides_of(files: Iterable[Path]) -> list[list[Path]]:
    """The files of one series, slide by slide: one as a rule.

    More where they state several studies, patients or containers, or where two are the same level without
    being parts of one: then each is taken for itself, as nothing says what belongs together."""
    files = sorted(files, key=lambda file: file.name)
    heads = [head_of(file) for file in files]
    for key in ("StudyInstanceUID", "PatientID", "ContainerIdentifier"):
        if len({head[key] for head in heads if head.get(key)}) > 1:
            return [part for group in _grouped(files, heads, key) for part in slides_of(group)]
    return [[file] for file in files] if _one_level_twice(heads) else [files]


def _grouped(files: list[Path], heads: list[Head], key: str) -> list[list[Path]]:
    groups: dict[str | int, list[Path]] = {}
    for file, head in zip(files, heads, strict=True):
        groups.setdefault(head.get(key, ""), []).append(file)
    return list(groups.values())


def _one_level_twice(heads: list[Head]) -> bool:
    """Whether two of them, not copies of one, are whole levels of one size."""
    seen: dict[tuple[str | int, str | int], str | int | None] = {}
    for head in heads:
        columns, rows = head.get("TotalPixelMatrixColumns"), head.get("TotalPixelMatrixRows")
        if "VOLUME" not in str(head.get("ImageType")) or "ConcatenationUID" in head or not (columns and rows):
            continue
        own = head.get("SOPInstanceUID")
        if seen.setdefault((columns, rows), own) != own:
            return True
    return False


def slides_beside(path: Path) -> list[list[Path]]:
    """The slides, each a list of files, to which the .dcm files of the folder with the same series belong:
    one as a rule, the file's own among them. Raises OSError."""
    folder = path.parent
    changed = folder.stat().st_mtime_ns
    # One look at a folder serves all its slides for a second; none that may have changed since unseen.
    young = time.time_ns() - changed < _YOUNG
    index = _index_now(folder) if young else _index(folder, changed, int(time.monotonic()))
    return index.get(path) or [[path]]


@lru_cache(4)
def _index(folder: Path, _changed_ns: int, _second: int) -> dict[Path, list[list[Path]]]:
    return _index_now(folder)


def _index_now(folder: Path) -> dict[Path, list[list[Path]]]:
    series: dict[str, list[Path]] = {}
    for file in folder.iterdir():
        if file.suffix.lower() == ".dcm":
            own = series_of(file)
            if own is not None:
                series.setdefault(own, []).append(file)
    slides = [slides_of(files) for files in series.values()]
    return {file: same for same in slides for files in same for file in files}


@lru_cache(1 << 16)
def _head_of(path: str, _size: int, _modified_ns: int) -> Head:
    """Read once for each state of a file: a watched folder is looked at every two seconds."""
    with open(path, "rb") as file:  # noqa: PTH123 - a string is hashed faster
        data = file.read(_HEAD)
    head: Head = {}
    if data[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        return head
    at, tag = _MAGIC_AT + 4, (0, 0)
    try:
        while tag < _LAST:  # elements are in the order of their tags
            tag, kind, start, length = _element(data, at)
            if tag in _ASKED and start + length <= len(data):
                head[_ASKED[tag]] = _value(data, kind, start, length)
            at = _after_sequence(data, start) if length == _UNDEFINED else start + length
    except struct.error:
        pass  # the head ends, or makes no sense, from here on
    return {key: value for key, value in head.items() if value != ""}


def _value(data: bytes, kind: bytes, start: int, length: int) -> str | int:
    if kind in _NUMBERS:
        return int(struct.unpack_from(_NUMBERS[kind], data, start)[0]) if length else ""
    return data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")


def _element(data: bytes, at: int) -> tuple[tuple[int, int], bytes, int, int]:
    """(tag, kind, where its value begins, length of that); raises struct.error behind the end."""
    group, element, kind, short = struct.unpack_from("<HH2sH", data, at)
    if group == 0xFFFE:  # items have no kind
        return (group, element), b"", at + 8, struct.unpack_from("<I", data, at + 4)[0]
    if kind in _LONG:
        return (group, element), kind, at + 12, struct.unpack_from("<I", data, at + 8)[0]
    return (group, element), kind, at + 8, short


def _after_sequence(data: bytes, at: int) -> int:
    """The end of a sequence of undefined length whose items begin at `at`; with sequences in it."""
    depth = 1
    while depth:
        tag, _, start, length = _element(data, at)
        depth += (length == _UNDEFINED) - (tag in (_ITEM_END, _SEQUENCE_END))
        at = start if length == _UNDEFINED else start + length
    return at
