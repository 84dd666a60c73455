"""The folder of a slide's results: a name of its own that no slide name can escape from."""

from __future__ import annotations

import unicodedata
from pathlib import Path

STEM_BYTES = 120
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def slide_folder(out: Path, slide_name: str, fingerprint: str) -> Path:
    """OUT/<safe stem>-<first 8 hex digits of the slide's fingerprint>; nothing is created."""
    return out / f"{safe_stem(slide_name)}-{fingerprint[:8]}"


def safe_stem(name: str) -> str:
    """A file name of letters, digits, `.`, `-` and `_` that is one on every operating system."""
    stem = unicodedata.normalize("NFC", Path(name.replace("\\", "/")).stem)
    stem = "".join(c if c.isalnum() or c in ".-_" else "_" for c in stem)
    stem = stem.encode("utf-8", "ignore")[:STEM_BYTES].decode("utf-8", "ignore").strip(".-_")
    if not stem or stem.split(".")[0].lower() in RESERVED:
        stem = f"slide_{stem}".strip("_")
    return stem
