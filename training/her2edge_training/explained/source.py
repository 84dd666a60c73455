"""A recipe as a Python file to start from: every field, each with a comment."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from her2edge.model.classes import LowDefinition
from her2edge.stain.mode import StainMode
from her2edge_training.classes import classes_for
from her2edge_training.explained.fields import FIELDS, OURS
from her2edge_training.recipe import Recipe

_WIDTH = 100
_HEAD = '''"""A copy of the recipe {name}, to be changed: this file is run as a program when it is read.

    her2edge train my.py --data tiles/cohort.csv --out runs/mine

Give it a name of its own. Delete what you do not change: a field that is not there has its default
(docs/recipes.md has them all).
"""
'''
_IMPORTS = {
    "her2_low=LowDefinition": "from her2edge.model.classes import LowDefinition",
    "StainMode.": "from her2edge.stain import StainMode",
    "=CLASSES": "from her2edge_training.classes import CLASSES",
}
_OWN = "from her2edge_training.recipe import Plateau, Recipe, Split, Stage, Stain"


def source_of(recipe: Recipe) -> str:
    """The text of a .py file whose RECIPE is equal to `recipe`."""
    body = f"RECIPE = {_value(recipe, recipe, 0, True)}\n"
    imports = (line for name, line in _IMPORTS.items() if name in body)
    return "\n".join([_HEAD.format(name=recipe.name), *imports, _OWN, "", body])


def _value(value: Any, recipe: Recipe, depth: int, commented: bool) -> str:
    """A value as Python; `depth`: of its brackets; commented: its fields have comments."""
    inner, outer = "    " * (depth + 1), "    " * depth
    if type(value) in FIELDS:
        lines = list(_fields(value, recipe, depth + 1, commented))
        return "\n".join([f"{type(value).__name__}(", *lines, f"{outer})"])
    if isinstance(value, LowDefinition):
        return f"LowDefinition(definition={value.definition!r}, shown_on={value.shown_on!r})"
    if isinstance(value, StainMode):
        return f"StainMode.{value.name}"
    if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct | tuple):
        items = (
            f"{inner}{_value(item, recipe, depth + 1, commented and n == 0)}," for n, item in enumerate(value)
        )
        return "\n".join(["(", *items, f"{outer})"])
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return f"({', '.join(map(_quoted, value))}{',' * (len(value) == 1)})"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _fields(record: Any, recipe: Recipe, depth: int, commented: bool) -> Iterator[str]:
    indent = "    " * depth
    for name, said in FIELDS[type(record)].items():
        if commented:
            paper = "" if said.paper == OURS else f" Paper: {said.paper}."
            prefix = f"{indent}# "
            yield from textwrap.wrap(
                said.text + paper, _WIDTH, initial_indent=prefix, subsequent_indent=prefix
            )
        value = getattr(record, name)
        usual = name == "classes" and value == classes_for(recipe.labels)
        yield f"{indent}{name}={'CLASSES' if usual else _value(value, recipe, depth, commented)},"
