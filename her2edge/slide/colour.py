"""The name of a colour profile. Profiles are noted and never applied: models are trained on stored pixels."""

from __future__ import annotations

import struct

from her2edge.text import one_line

MAX_PROFILE = 8 << 20  # bytes; a scanner's own has up to 2 million
_MAX_TAGS, _MAX_NAME = 256, 80


def profile_name(profile: bytes) -> str | bool:
    """What an ICC profile calls itself; True where it has no name that can be read, False for no profile.

    ICC.1:2022, 7.3 (tag table), 10.15 (multiLocalizedUnicodeType); ICC.1:2001, 6.5.17 (textDescriptionType).
    """
    if not profile:
        return False
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        for number in range(min(count, _MAX_TAGS)):
            tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
            if tag == b"desc":
                return _text(profile[start : start + size]) or True
    except (struct.error, UnicodeDecodeError):
        pass
    return True


def _text(data: bytes) -> str:
    if data[:4] == b"mluc":
        length, start = struct.unpack_from(">II", data, 20)
        text = data[start : start + min(length, 4 * _MAX_NAME)].decode("utf-16-be")
    elif data[:4] == b"desc":
        (length,) = struct.unpack_from(">I", data, 8)
        text = data[12 : 12 + min(length, 4 * _MAX_NAME)].decode("ascii")
    else:
        return ""
    return one_line(text.replace("\0", ""))[:_MAX_NAME].strip()
