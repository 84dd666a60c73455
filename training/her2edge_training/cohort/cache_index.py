"""The index of a tile cache: which tile's pixels stand where in its file. Entries are only ever appended.

An entry: SHA-256 of the tile's file, offset (bytes), height, width (pixels), Adler-32 of the pixels, and the
CRC-32 of all that, so that one that is torn is known.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_FORM = struct.Struct("<32sQIII")
_OWN = struct.Struct("<I")
ENTRY_BYTES = _FORM.size + _OWN.size


@dataclass(frozen=True, slots=True)
class Entry:
    """Pixels in the file: `offset` in bytes, (height, width, 3) uint8; check: their Adler-32."""

    offset: int
    height: int
    width: int
    check: int

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + 3 * self.height * self.width


def entry_bytes(digest: bytes, entry: Entry) -> bytes:
    """As it is appended to the index. digest: the 32 bytes of the tile's SHA-256."""
    data = _FORM.pack(digest, entry.offset, entry.height, entry.width, entry.check)
    return data + _OWN.pack(zlib.crc32(data))


def read_entries(data: bytes, file_size: int) -> tuple[dict[bytes, Entry], int]:
    """By digest, those that are whole and lie within a file of pixels of `file_size` bytes; how many do not.

    A half entry at the end, of a process that was killed, counts as one.
    """
    entries: dict[bytes, Entry] = {}
    whole = len(data) - len(data) % ENTRY_BYTES
    lost = int(whole < len(data))
    for start in range(0, whole, ENTRY_BYTES):
        fields = data[start : start + _FORM.size]
        digest, *numbers = _FORM.unpack(fields)
        entry = Entry(*numbers)
        own = _OWN.unpack_from(data, start + _FORM.size)[0]
        if own == zlib.crc32(fields) and entry.end <= file_size:
            entries[digest] = entry
        else:
            lost += 1
    return entries, lost
