"""What stands for slides' names where pages go to others, and the key that stays beside the results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from her2edge.errors import OptionError, OutputError
from her2edge.files import write_bytes
from her2edge.listing.entries import Entry
from her2edge.tables import csv_bytes
from her2edge.text import from_disk

KEY = "pseudonyms.csv"
DIGITS = 12  # of the fingerprint
_OWN_PAGE = re.compile(rf"[0-9a-f]{{{DIGITS}}}(-[0-9]+)?\.html")


def pseudonym_of(fingerprint: str) -> str:
    """What stands for a slide's name."""
    return fingerprint[:DIGITS]


def pseudonyms(entries: Sequence[Entry]) -> Iterator[str]:
    """What each is called; slides of the same content are told apart by a number."""
    seen: Counter[str] = Counter()
    for one in entries:
        if one.summary is None:
            yield "without results"
            continue
        name = pseudonym_of(one.summary.slide.fingerprint)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def check_no_names(out: Path, *own: str) -> None:
    """Raise OptionError where the folder holds anything but pages of pseudonyms and the files `own`."""
    try:
        there = [path.name for path in out.iterdir()]
    except OSError as error:
        raise OutputError(f"{from_disk(out.name)}: cannot be listed ({error.strerror})") from error
    others = [one for one in there if not (one.startswith(".") or one in own or _OWN_PAGE.fullmatch(one))]
    if others:
        raise OptionError(
            f"{from_disk(out.name)}: found {len(others)} file(s) or folder(s) that may hold names, expected "
            "a folder for pseudonyms alone: choose another --out"
        )


def write_key(folder: Path, entries: Sequence[Entry], names: Sequence[str]) -> None:
    """Which pseudonym stands for which slide."""
    table = [
        (name, one.name, one.row.patient if one.row is not None else "")
        for one, name in zip(entries, names, strict=True)
        if one.summary is not None
    ]
    write_bytes(folder / KEY, csv_bytes(("pseudonym", "slide", "patient"), table))
