"""Identity of a slide's content in a fraction of a second, however large the file.

A fingerprint of a large file is of a sample. `Evidence` stands beside it: what the file system says of the
slide's files, and the hash of every byte, which is made only where the two do not settle it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from her2edge.errors import SlideReadError
from her2edge.files import sha256_of
from her2edge.slide.images import without_folder
from her2edge.slide.parts import slide_files

_BLOCK = 64 * 1024
_BLOCKS = 64
WHOLE = _BLOCK * _BLOCKS  # bytes; up to here a fingerprint is of every byte


class Evidence(msgspec.Struct, frozen=True):
    """What tells whether a slide was written to since, where its fingerprint does not.

    size: bytes, of all its files. modified_ns: when the last of them was, nanoseconds since 1970.
    looks: hex digest of each file's name, size, and times of modification and change. Who sets the time of
        modification back does not set back that of change (POSIX).
    sampled: the fingerprint is not of every byte. sha256: hex, of every byte; None: not asked for.
    """

    size: int
    modified_ns: int
    looks: str
    sampled: bool
    sha256: str | None = None


def look_at(root: Path, files: list[Path]) -> Evidence:
    """The evidence of a slide's files, without a hash; raises SlideReadError where the only one is gone."""
    stats: list[tuple[str, os.stat_result]] = []
    for file in files:
        try:
            stats.append((file.relative_to(root).as_posix(), file.stat()))
        except OSError as error:  # of many, one that is gone is missing among the looks
            if len(files) == 1:
                raise _unreadable(file, error) from error
    return Evidence(
        size=sum(stat.st_size for _, stat in stats),
        modified_ns=max((stat.st_mtime_ns for _, stat in stats), default=0),
        looks=looks_of(stats),
        sampled=any(stat.st_size > WHOLE for _, stat in stats),
    )


def looks_of(stats: Iterable[tuple[str, os.stat_result]]) -> str:
    """Hex digest of what the file system says of files, by their names relative to the slide's folder."""
    lines = (f"{name!a} {one.st_size} {one.st_mtime_ns} {one.st_ctime_ns}\n" for name, one in stats)
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def same_content(kept: Evidence | None, now: Evidence, whole: Callable[[], str]) -> bool:
    """Whether a slide of an equal fingerprint is what it was when `kept` was.

    whole: reads every byte and returns their hash; asked only where a sampled slide looks otherwise and a
    hash was kept. Without one it counts as changed. None was kept by her2edge 0.1.0 of November 2026: then
    the fingerprint is all there is.
    """
    if kept is None or not now.sampled or kept.looks == now.looks:
        return True
    return kept.sha256 is not None and kept.size == now.size and whole() == kept.sha256


def hash_whole(root: Path, files: list[Path]) -> str:
    """Hex SHA-256 of every byte: of the only file as `sha256sum` gives it, else of names and hashes.

    Raises SlideReadError where the only one cannot be read."""
    if len(files) > 1:
        return _hash_many(root, files, _hash_file)
    return _hash_file(files[0])


def _hash_file(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def files_of_slide(path: Path) -> list[Path]:
    """`slide_files`, its errors as SlideReadError."""
    try:
        return slide_files(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def fingerprint_slide(path: Path) -> str:
    """Hex SHA-256 of a slide file; where `slide_files` has more of them, of all, with their names.

    Raises SlideReadError."""
    files = files_of_slide(path)
    return fingerprint_files(path.parent, files) if len(files) > 1 else fingerprint_file(path)


def fingerprint_files(root: Path, files: list[Path]) -> str:
    """Hex SHA-256 over paths relative to `root` and fingerprints, in the order given."""
    return _hash_many(root, files, fingerprint_file)


def _hash_many(root: Path, files: list[Path], hash_one: Callable[[Path], str]) -> str:
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
        digest.update(len(name).to_bytes(8, "little") + name)
        try:
            digest.update(bytes.fromhex(hash_one(file)))
        except SlideReadError:  # its tiles are failed ones
            digest.update(b"unreadable")
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Hex SHA-256 over size and content; above 4 MiB over size and 64 evenly spaced blocks of 64 KiB."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            digest = hashlib.sha256(size.to_bytes(8, "little"))
            if size <= WHOLE:
                digest.update(file.read(WHOLE))
            else:
                for block in range(_BLOCKS):
                    file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> SlideReadError:
    return SlideReadError(f"{path.name}: cannot be read ({without_folder(error, path)})")
