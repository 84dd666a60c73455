"""Files that appear whole or not at all, in folders that no slide name can escape."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from her2edge.errors import OutputError, OutputWriteError

STEM_CHARS = 80
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def slide_folder(out: Path, slide_name: str, fingerprint: str) -> Path:
    """OUT/<safe stem>-<first 8 hex digits of the slide's fingerprint>; nothing is created."""
    return out / f"{_safe_stem(slide_name)}-{fingerprint[:8]}"


def _safe_stem(name: str) -> str:
    """A file name of letters, digits, `.`, `-` and `_` that is one on every operating system."""
    stem = unicodedata.normalize("NFC", Path(name.replace("\\", "/")).stem)[:STEM_CHARS]
    stem = "".join(c if c.isalnum() or c in ".-_" else "_" for c in stem).strip(".-_")
    if not stem or stem.split(".")[0].lower() in RESERVED:
        stem = f"slide_{stem}".strip("_")
    return stem


def ensure_folder(folder: Path) -> None:
    """Create the folder and its parents; raises OutputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder.name}: the output folder cannot be created ({error.strerror}); choose another --out"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder.name}: the output folder cannot be written to; choose another --out")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name only when everything is on the disk.

    Raises OutputError where it cannot be created, OutputWriteError where writing fails; the file that
    was there before stays then, and nothing partial is left.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        file = temporary.open("wb")
    except OSError as error:
        raise OutputError(
            f"{path.name}: cannot be created ({error.strerror}); choose another --out"
        ) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputWriteError(
            f"{path.name}: writing failed ({error.strerror}); free some space and run again"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the operating system can (Windows cannot)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
