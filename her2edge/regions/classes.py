"""The class of an annotation: its name as people read it, and what a table says it means."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

IGNORE = "ignore"  # a label that stands for none: the class is as if it were not drawn
EXCLUDE = "exclude"  # the class is cut out of every other: no tile lies in it
UNCLASSIFIED = "unclassified"  # the class of an annotation without one

Table = tuple[tuple[str, str], ...]  # (class, label)


def label_of(table: Table) -> Mapping[str, str]:
    """Label, IGNORE or EXCLUDE by `key` of the class."""
    return {key(name): label for name, label in table}


def meaning(name: str, labels: Mapping[str, str]) -> str | None:
    """What `label_of` a table has for a class; EXCLUDE for QuPath's ignored classes that it has not; or None.

    QuPath ignores a class whose name ends with `*` (PathClassTools.isIgnoredClass). `Region*`, which it
    offers for a field to work in, says nothing of what is in it, so it must be named.
    """
    label = labels.get(key(name))
    if label is None and any(map(_is_ignored, key(name).split(":"))):
        return EXCLUDE
    return label


def _is_ignored(name: str) -> bool:
    name = name.strip()
    return name.startswith("ignore") or (name.endswith("*") and name != "region*")


# of no width, or not called a space by Unicode's tables; word processors and web pages have them
_SPACES = dict.fromkeys(map(ord, "\u180e\u200b\ufeff"), " ")


def tidy(name: str) -> str:
    """A class name as people read it: a run of any of Unicode's spaces is one, nothing invisible is left."""
    words = name.translate(_SPACES).split()
    return "".join(character for character in " ".join(words) if character.isprintable()).strip()


def key(name: str) -> str:
    """`tidy`, without regard to case and to the width of characters."""
    return tidy(unicodedata.normalize("NFKC", tidy(name))).casefold()
