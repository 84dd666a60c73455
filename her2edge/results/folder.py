"""The folder of a slide's results: a name of its own that no slide name can escape from."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from her2edge.text import to_disk

NAME_BYTES, SUFFIX_BYTES = 120, 16
DIGITS, FORMER_DIGITS = 16, 8
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def slide_folder(out: Path, slide_name: str, fingerprint: str) -> Path:
    """OUT/<safe name>-<first 16 hex digits of the slide's fingerprint>; nothing is created.

    Two slides may still have one folder: it belongs to the one that its run.json names, see `check_owner`.
    """
    return out / to_disk(f"{safe_name(slide_name)}-{fingerprint[:DIGITS]}")


def former_folder(out: Path, slide_name: str, fingerprint: str) -> Path:
    """Where her2edge wrote until November 2026: no suffix, 8 digits. Nothing is written there any more."""
    return out / to_disk(f"{safe_stem(slide_name)}-{fingerprint[:FORMER_DIGITS]}")


def safe_name(name: str) -> str:
    """A file name of letters, digits, `.`, `-` and `_`, its suffix kept, that is one on every operating
    system; at most 120 bytes."""
    suffix = _plain(Path(name.replace("\\", "/")).suffix, SUFFIX_BYTES).rstrip(".-_")
    return safe_stem(name, NAME_BYTES - len(suffix.encode())) + suffix


def safe_stem(name: str, at_most: int = NAME_BYTES) -> str:
    """`safe_name` without the suffix."""
    stem = _plain(Path(name.replace("\\", "/")).stem, at_most).strip(".-_")
    if not stem or stem.split(".")[0].lower() in RESERVED:
        stem = _plain(f"slide_{stem}", at_most).strip(".-_")
    return stem


def _plain(text: str, at_most: int) -> str:
    text = unicodedata.normalize("NFC", text)
    text = "".join(c if c.isalnum() or c in ".-_" else "_" for c in text)
    return text.encode("utf-8", "ignore")[:at_most].decode("utf-8", "ignore")
