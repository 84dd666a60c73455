"""That a file is a whole her2edge model: it is held against its own hash before anything parses it."""

from __future__ import annotations

import hashlib

from her2edge.errors import ModelError

EXPECTED = "a her2edge model file, a .tflite made by `her2edge quantize`"
HASH_CHARS = 64
_IDENTIFIER = slice(4, 8)  # of a FlatBuffer; that of a .tflite is TFL3
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


def check_whole(data: bytes) -> None:
    """Raise ModelError for what is no model file, and for one that is not exactly what was packed."""
    expected = hashlib.sha256(memoryview(data)[:-HASH_CHARS]).hexdigest().encode()
    if len(data) > HASH_CHARS and data[-HASH_CHARS:] == expected:
        return
    if not data:
        raise ModelError(f"found an empty file, expected {EXPECTED}: copy it again")
    if data[_IDENTIFIER] != b"TFL3":
        raise ModelError(f"found {_kind(data)}, expected {EXPECTED}: name such a file")
    if b"manifest.json" not in data:
        raise ModelError(
            f"found a .tflite of another program, or the first part of a model file, expected {EXPECTED}: "
            "copy it again, or make one with `her2edge quantize RUN`"
        )
    raise ModelError(
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
