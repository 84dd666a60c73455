"""Text for people: one line, nothing unprintable, whatever a damaged file put into it."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable


def shown(text: str) -> str:
    """`text` with unprintable characters (also undecodable bytes of a file name) as `?`."""
    return "".join(character if character.isprintable() else "?" for character in text)


def from_disk(name: str) -> str:
    """A file's name as text: its bytes are UTF-8, whatever the locale of this process takes them for."""
    return os.fsencode(name).decode("utf-8", "surrogateescape") if os.name == "posix" else name


def to_disk(text: str) -> str:
    """The inverse of `from_disk`: text as this process names a file."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape")) if os.name == "posix" else text


def one_line(text: str) -> str:
    """`shown`, with every run of white space as one space."""
    return shown(" ".join(text.split()))


def folded(text: str) -> str:
    """A name as names are compared: case, forms of a letter and white space do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'labels'?)` where one of `known` is near to a misspelt word; else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def percent(share: float, digits: int | None = 0) -> str:
    """A share, 0..1, as `82 %`, with `digits` decimals; None: those it has, of six figures at most."""
    return f"{100 * share:g} %" if digits is None else f"{100 * share:.{digits}f} %"


def first_line(error: BaseException) -> str:
    """What a foreign error says in its first line that says anything, else its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
