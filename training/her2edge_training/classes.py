"""What the classes of an annotation mean: a table from class names to labels, in the recipe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from her2edge.errors import OptionError
from her2edge.files import read_json
from her2edge.regions.classes import EXCLUDE, IGNORE, Table, key

_LARGEST = 1 << 20  # bytes of a table
MEANINGS = (IGNORE, EXCLUDE)

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
_STARTS = ("", "HER2 ", "HER2: ")
CLASSES: Table = tuple((f"{start}{name}", label) for start in _STARTS for name, label in _NAMES)


def classes_for(labels: tuple[str, ...]) -> Table:
    """What the classes of annotations stand for in a recipe of these labels that does not say it itself.

    A class named like a label is that label; others of CLASSES count as far as `labels` has their label.
    """
    own = {key(f"{start}{label}"): (f"{start}{label}", label) for start in _STARTS for label in labels}
    known = {key(pair[0]): pair for pair in CLASSES if pair[1] in labels}
    return tuple((known | own).values())


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


def read_table(path: Path) -> Table:
    """Read pairs from a JSON file {"class": "label"}; raises MissingInputError or OptionError."""
    expected = 'a table of classes as JSON {"class": "label"}'
    pairs = read_json(path, dict[str, str], limit=_LARGEST, expected=expected, wrong=OptionError)
    return tuple(pairs.items())
