"""What the classes of an annotation mean: a table from class names to labels, in the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from her2edge.errors import OptionError
from her2edge.files import read_input

IGNORE = "ignore"  # a label that stands for none: the class is as if it were not drawn
UNCLASSIFIED = "unclassified"  # the class of an annotation without one
_LARGEST = 1 << 20  # bytes of a table of classes

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
    """Raise OptionError unless every label of `table` is one of `labels` or IGNORE, and no class has two."""
    known: dict[str, str] = {}
    for name, label in table:
        if label not in (*labels, IGNORE):
            raise OptionError(
                f"found label {label!r} for class {name!r}, expected one of {', '.join((*labels, IGNORE))}"
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
    """Label or IGNORE by `key` of the class."""
    return {key(name): label for name, label in table}


def key(name: str) -> str:
    """A class name without regard to case and to the width of its spaces."""
    return " ".join(name.split()).casefold()


def read_table(path: Path) -> Table:
    """Read pairs from a JSON file {"class": "label"}; raises MissingInputError or OptionError."""
    expected = 'JSON {"class": "label"}'
    data = read_input(path, _LARGEST, expected, OptionError)
    try:
        return tuple(msgspec.json.decode(data, type=dict[str, str]).items())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path.name}: found no table of classes ({error}), expected {expected}") from error
