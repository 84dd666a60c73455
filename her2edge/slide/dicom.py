"""What the head of a DICOM file says: which slide it belongs to, and what its pixels are.

A slide is a series, and each of its levels a file or more; but who makes files anonymous may give all of a
folder one series. Only the head is read, element by element, as in DICOM PS3.5, 7.1 (explicit VR,
little-endian: what every compressed whole-slide image has).
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from her2edge.slide.dicom_elements import elements, is_dicom

_HEAD = 64 * 1024
_FIELDS = {
    (0x0002, 0x0010): "syntax",
    (0x0008, 0x0008): "image_type",
    (0x0008, 0x0016): "sop_class",
    (0x0008, 0x0018): "instance",
    (0x0008, 0x0070): "maker",
    (0x0008, 0x1090): "model",
    (0x0010, 0x0020): "patient",
    (0x0020, 0x000D): "study",
    (0x0020, 0x000E): "series",
    (0x0020, 0x9161): "concatenation",
    (0x0020, 0x9162): "part",
    (0x0020, 0x9163): "parts",
    (0x0020, 0x9311): "organization",
    (0x0028, 0x0002): "samples",
    (0x0028, 0x0004): "photometric",
    (0x0028, 0x0100): "bits",
    (0x0028, 0x0103): "signed",
    (0x0040, 0x0512): "container",
    (0x0048, 0x0006): "columns",
    (0x0048, 0x0007): "rows",
}
_LAST = max(_FIELDS)
_KINDS = {b"US": "<H", b"UL": "<I"}
_NUMBERS = {"part", "parts", "samples", "bits", "signed", "columns", "rows"}
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
_YOUNG = 100_000_000  # ns; what is written within a tick of the file system's clock has one time


@dataclass(frozen=True)
class Head:
    """Elements of the file by what they mean; what is not stated is empty, or as OpenSlide demands it.

    syntax: how the pixels are compressed. sop_class: the kind of object. maker, model: of the scanner.
    concatenation: of which this is `part` of `parts`. organization: of the tiles. samples, bits: per
    pixel, and allocated per sample. container: the number of what holds the glass slide. columns, rows:
    of the level, pixels.
    """

    syntax: str = ""
    image_type: str = ""
    sop_class: str = ""
    instance: str = ""
    maker: str = ""
    model: str = ""
    patient: str = ""
    study: str = ""
    series: str = ""
    concatenation: str = ""
    part: int = 0
    parts: int = 0
    organization: str = ""
    samples: int = 3
    photometric: str = ""
    bits: int = 8
    signed: int = 0
    container: str = ""
    columns: int = 0
    rows: int = 0

    @property
    def is_other(self) -> bool:
        """Whether it is an object, but no whole-slide image: a report, annotations."""
        return self.sop_class not in ("", WHOLE_SLIDE)

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows) of a level, (0, 0) of what is none."""
        return (self.columns, self.rows) if "VOLUME" in self.image_type else (0, 0)


def head_of(path: Path) -> Head:
    """What the file states of that; nothing where it is no DICOM file, or cannot be read."""
    try:
        looks = path.stat()
        if not stat.S_ISREG(looks.st_mode):
            return Head()  # a pipe would be waited for
        return _head_of(os.fspath(path), looks.st_size, looks.st_mtime_ns)
    except OSError:
        return Head()


def series_of(path: Path) -> str | None:
    """The file's Series Instance UID; None where it states none, or cannot be read."""
    return head_of(path).series or None


def shows_a_slide(files: Iterable[Path]) -> bool:
    """Whether one of the files of a series may be a level: not all say that they are labels or overviews."""
    heads = [head_of(file) for file in files]
    return any(not head.image_type or "VOLUME" in head.image_type for head in heads)


def slides_of(files: Iterable[Path]) -> list[list[Path]]:
    """The files of one series, slide by slide: one as a rule.

    More where they state several studies, patients or containers; or where two levels are of one size, but
    not parts of one, or one is no smaller picture of the largest: then each is taken for itself, as nothing
    says what belongs together."""
    files = sorted(files, key=lambda file: file.name)
    heads = [head_of(file) for file in files]
    for keys in ([head.study for head in heads], [head.patient for head in heads],
                 [head.container for head in heads]):  # fmt: skip
        if len(set(keys) - {""}) > 1:
            return [part for group in _grouped(files, keys) for part in slides_of(group)]
    return [[file] for file in files] if _of_several(heads) else [files]


def _grouped(files: list[Path], keys: list[str]) -> list[list[Path]]:
    groups: dict[str, list[Path]] = {}
    for file, key in zip(files, keys, strict=True):
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _of_several(heads: list[Head]) -> bool:
    """Whether these cannot all be levels of one slide."""
    levels: dict[tuple[int, int], str] = {}
    for head in heads:
        size = (head.columns, head.rows)
        if "VOLUME" not in head.image_type or head.concatenation or 0 in size:
            continue
        if levels.setdefault(size, head.instance) != head.instance:  # else a copy
            return True
    full = max(levels, default=(0, 0))
    return any(not _is_smaller(full, size) for size in levels)


def _is_smaller(full: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether both sides are smaller by the same, to 5 % or two pixels: padding is no other slide."""
    low = max(long / (short + 2) for long, short in zip(full, size, strict=True))
    high = min(long / max(short - 2, 1) for long, short in zip(full, size, strict=True))
    return low <= high * 1.05


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
    fields: dict[str, Any] = {}
    if is_dicom(data):
        for tag, kind, start, length in elements(data):
            name = _FIELDS.get(tag)
            if name is not None and start + length <= len(data):
                fields |= _field(name, kind, data[start : start + length])
            if tag >= _LAST:  # elements are in the order of their tags
                break
    return Head(**fields)


def _field(name: str, kind: bytes, value: bytes) -> dict[str, str | int]:
    """The value by its name; nothing where it is of another kind."""
    if name not in _NUMBERS:
        return {name: value.rstrip(b"\0 ").decode("utf-8", "replace")} if kind not in _KINDS else {}
    form = _KINDS.get(kind)
    if form is None or len(value) != struct.calcsize(form):
        return {}
    return {name: struct.unpack(form, value)[0]}
