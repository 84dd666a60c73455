"""What the classes of an annotation mean: a table from class names to labels, in the recipe."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from her2edge.errors import OptionError
from her2edge.files import read_json

IGNORE = "ignore"  # a label that stands for none: the class is as if it were not drawn
_LARGEST = 1 << 20  # bytes of a table
EXCLUDE = "exclude"  # the class is cut out of every other: no tile in it has a label
MEANINGS = (IGNORE, EXCLUDE)
UNCLASSIFIED = "unclassified"  # the class of an annotation without one

Table = tuple[tuple[str, str], ...]

_NAMES = (
    ("0/1+", "0/1+"),
    ("0", "0/1+"),
    ("1+", "0/1+"),
    ("negative", "0/1+"),
    ("2+", "2+"),
    ("equivocal", "2+"),
    ("3+", "3+"),
    ("positive", "3+"),
)
# "HER2: 3+" is how QuPath shows the class 3+ derived from HER2
CLASSES: Table = tuple(
    (f"{start}{name}", label) for start in ("", "HER2 ", "HER2: ") for name, label in _NAMES
)


def check_table(table: Table, labels: tuple[str, ...]) -> None:
    """Raise OptionError unless each label of `table` is of `labels` or MEANINGS, and no class has two."""
    known: dict[str, str] = {}
    for name, label in table:
        if label not in (*labels, *MEANINGS):
            raise OptionError(
                f"found label {label!r} for class {name!r}, expected one of {', '.join((*labels, *MEANINGS))}"
            )
        if known.setdefault(key(name), label) != label:
            raise OptionError(
                f"found class {name!r} with the labels {known[key(name)]} and {label}: keep one"
            )


def extended(table: Table, more: Iterable[tuple[str, str]]) -> Table:
    """`table` with the pairs of `more` in place of its own for the same class."""
    more = tuple(more)
    replaced = {key(name) for name, _ in more}
    return (*(pair for pair in table if key(pair[0]) not in replaced), *more)


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


def read_table(path: Path) -> Table:
    """Read pairs from a JSON file {"class": "label"}; raises MissingInputError or OptionError."""
    expected = 'a table of classes as JSON {"class": "label"}'
    pairs = read_json(path, dict[str, str], limit=_LARGEST, expected=expected, wrong=OptionError)
    return tuple(pairs.items())
