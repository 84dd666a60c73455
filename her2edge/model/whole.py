"""That a file is a whole her2edge model: it is held against its own hash before anything parses it."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from typing import IO

from her2edge.errors import ModelError

EXPECTED = "a her2edge model file, a .tflite made by `her2edge quantize`"
HASH_CHARS = 64
_IDENTIFIER = slice(4, 8)  # of a FlatBuffer; that of a .tflite is TFL3
_END = struct.Struct("<4s4H2LH")  # a ZIP's end record, before its comment: APPNOTE.TXT 4.3.16
_ENTRY = struct.Struct("<4s38xL")  # a member's entry in the ZIP's list: where the member begins; 4.3.12
_HEAD = 512  # bytes that are looked at to name another kind of file

# How files begin that are given in a model's place.
_KINDS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"II*\0", "a TIFF, as slides are"),
    (b"MM\0*", "a TIFF, as slides are"),
    (b"II+\0", "a TIFF, as slides are"),
    (b"MM\0+", "a TIFF, as slides are"),
    (b"PK\x03\x04", "a ZIP, as .keras files are"),
    (b"\x89HDF", "an HDF5 file, as Keras' weights are"),
)


@dataclass(frozen=True, eq=False)
class Parts:
    """A file's bytes in two pieces, so that the FlatBuffer need not be cut out of them, which would hold it
    twice. Where they meet is a guess that is verified with all the rest."""

    flatbuffer: bytes
    rest: bytes

    @classmethod
    def of(cls, file: IO[bytes]) -> Parts:
        size = file.seek(0, io.SEEK_END)
        start = _zip_begins(file, size)
        file.seek(0)
        return cls(file.read(start), file.read(size - start))


def hashes(parts: Parts) -> tuple[str, str]:
    """SHA-256, hex, of the FlatBuffer and of the whole file.

    Raises ModelError for what is no model file, and for one that is not exactly what was packed.
    """
    digest, rest = hashlib.sha256(parts.flatbuffer), memoryview(parts.rest)
    of_flatbuffer = digest.hexdigest()
    digest.update(rest[:-HASH_CHARS])
    if len(rest) <= HASH_CHARS or rest[-HASH_CHARS:] != digest.hexdigest().encode():
        raise _refusal(parts.flatbuffer + parts.rest)
    digest.update(rest[-HASH_CHARS:])
    return of_flatbuffer, digest.hexdigest()


def _zip_begins(file: IO[bytes], size: int) -> int:
    """Where the ZIP seems to begin: its first member, as its list says; 0 where there is no such thing."""
    if size < _END.size + HASH_CHARS:
        return 0
    file.seek(size - _END.size - HASH_CHARS)
    kind, *_, listed, _ = _END.unpack(file.read(_END.size))
    file.seek(listed)
    entry = file.read(_ENTRY.size)
    if kind != b"PK\5\6" or len(entry) < _ENTRY.size:
        return 0
    kind, start = _ENTRY.unpack(entry)
    return start if kind == b"PK\1\2" and start <= listed else 0


def _refusal(data: bytes) -> ModelError:
    """What is wrong with bytes that do not end with their own hash."""
    if not data:
        return ModelError(f"found an empty file, expected {EXPECTED}: copy it again")
    if data[_IDENTIFIER] != b"TFL3":
        return ModelError(f"found {_kind(data)}, expected {EXPECTED}: name such a file")
    if b"manifest.json" not in data:
        return ModelError(
            f"found a .tflite of another program, or the first part of a model file, expected {EXPECTED}: "
            "copy it again, or make one with `her2edge quantize RUN`"
        )
    return ModelError(
        f"found bytes that do not match the file's own SHA-256, expected {EXPECTED}, as it was packed: copy "
        "it again"
    )


def _kind(data: bytes) -> str:
    """What a file that is no .tflite is, by its first bytes."""
    head = data[:_HEAD]
    named = next((kind for start, kind in _KINDS if head.startswith(start)), None)
    if named is not None:
        return named
    text = "".join(head.decode("utf-8", "ignore").split())  # what is read may end within a letter
    return "a text file" if text.isprintable() else "a file that is no .tflite"
