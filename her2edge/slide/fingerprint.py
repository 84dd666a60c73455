"""Identity of a slide's content in a fraction of a second, however large the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from her2edge.errors import SlideReadError
from her2edge.slide.images import without_folder
from her2edge.slide.parts import slide_files

_BLOCK = 64 * 1024
_BLOCKS = 64


def fingerprint_slide(path: Path) -> str:
    """Hex SHA-256 of a slide file; where `slide_files` has more of them, of all, with their names.

    Raises SlideReadError."""
    try:
        files = slide_files(path)
    except OSError as error:
        raise SlideReadError(f"{path.name}: cannot be read ({without_folder(error, path)})") from error
    return fingerprint_files(path.parent, files) if len(files) > 1 else fingerprint_file(path)


def fingerprint_files(root: Path, files: list[Path]) -> str:
    """Hex SHA-256 over paths relative to `root` and fingerprints, in the order given."""
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
        digest.update(len(name).to_bytes(8, "little") + name)
        try:
            digest.update(bytes.fromhex(fingerprint_file(file)))
        except SlideReadError:
            digest.update(b"unreadable")
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Hex SHA-256 over size and content; above 4 MiB over size and 64 evenly spaced blocks of 64 KiB."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            digest = hashlib.sha256(size.to_bytes(8, "little"))
            if size <= _BLOCK * _BLOCKS:
                digest.update(file.read(_BLOCK * _BLOCKS))
            else:
                for block in range(_BLOCKS):
                    file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
    except OSError as error:
        raise SlideReadError(f"{path.name}: cannot be read ({without_folder(error, path)})") from error
    return digest.hexdigest()
