"""Which series a DICOM file belongs to: a slide is a series, and each of its levels a file or more.

Only the head is read, element by element, as in DICOM PS3.5, 7.1 (explicit VR, little-endian: what every
compressed whole-slide image has).
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path

_HEAD = 64 * 1024
_MAGIC, _MAGIC_AT = b"DICM", 128
_SERIES = (0x0020, 0x000E)  # Series Instance UID
_ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF


def series_of(path: Path) -> str | None:
    """The file's Series Instance UID; None where it states none, or cannot be read."""
    try:
        looks = path.stat()
        return _series_of(os.fspath(path), looks.st_size, looks.st_mtime_ns)
    except (OSError, struct.error):
        return None


@lru_cache(1 << 16)
def _series_of(path: str, _size: int, _modified_ns: int) -> str | None:
    """Read once for each state of a file: a watched folder is looked at every two seconds."""
    with open(path, "rb") as file:  # noqa: PTH123 - a string is hashed faster
        data = file.read(_HEAD)
    if data[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        return None
    at, tag = _MAGIC_AT + 4, (0, 0)
    while tag < _SERIES:  # elements are in the order of their tags
        tag, start, length = _element(data, at)
        if tag == _SERIES:
            return data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace") or None
        at = _after_sequence(data, start) if length == _UNDEFINED else start + length
    return None


def _element(data: bytes, at: int) -> tuple[tuple[int, int], int, int]:
    """(tag, where its value begins, length of that); raises struct.error behind the end."""
    group, element, kind, short = struct.unpack_from("<HH2sH", data, at)
    if group == 0xFFFE:  # items have no kind
        return (group, element), at + 8, struct.unpack_from("<I", data, at + 4)[0]
    if kind in _LONG:
        return (group, element), at + 12, struct.unpack_from("<I", data, at + 8)[0]
    return (group, element), at + 8, short


def _after_sequence(data: bytes, at: int) -> int:
    """The end of a sequence of undefined length whose items begin at `at`; with sequences in it."""
    depth = 1
    while depth:
        tag, start, length = _element(data, at)
        depth += (length == _UNDEFINED) - (tag in (_ITEM_END, _SEQUENCE_END))
        at = start if length == _UNDEFINED else start + length
    return at
