"""The elements of a DICOM file, one after the other, as in PS3.5, 7.1 (explicit VR, little-endian: what every
compressed whole-slide image has). Nothing is believed that leads outside of the bytes at hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

Tag = tuple[int, int]

_MAGIC, _MAGIC_AT = b"DICM", 128
_BEGIN = _MAGIC_AT + len(_MAGIC)
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
UNDEFINED = 0xFFFFFFFF


def is_dicom(data: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file."""
    return data[_MAGIC_AT:_BEGIN] == _MAGIC


def elements(data: bytes, at: int = _BEGIN) -> Iterator[tuple[Tag, bytes, int, int]]:
    """(tag, kind, where its value begins, length of that) of each element from `at` on, but not of those in
    sequences; until the bytes end, or make no sense. A length may be UNDEFINED, or lead behind the end."""
    try:
        while True:
            tag, kind, start, length = _element(data, at)
            yield tag, kind, start, length
            at = _after_sequence(data, start) if length == UNDEFINED else start + length
    except struct.error:
        return


def value_of(data: bytes, tags: Sequence[Tag], at: int = _BEGIN) -> bytes | None:
    """The value of the last of `tags`, each but the first in the first item of the sequence before it."""
    for tag, _, start, length in elements(data, at):
        if tag > tags[0]:  # also the end of an item
            return None
        if tag == tags[0]:
            return data[start : start + length] if len(tags) == 1 else _in_item(data, tags[1:], start)
    return None


def _in_item(data: bytes, tags: Sequence[Tag], at: int) -> bytes | None:
    first = next(elements(data, at), None)
    if first is None or first[0] != _ITEM:
        return None
    _, _, start, length = first
    return value_of(data if length == UNDEFINED else data[: start + length], tags, start)


def _element(data: bytes, at: int) -> tuple[Tag, bytes, int, int]:
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
        depth += (length == UNDEFINED) - (tag in (_ITEM_END, _SEQUENCE_END))
        at = start if length == UNDEFINED else start + length
    return at
