"""The tables of docs/recipes.md, made from the types and from the recipe that is the paper's."""

from __future__ import annotations

from typing import Any

import msgspec

from her2edge.stain.mode import StainMode
from her2edge.tables import markdown
from her2edge_training.classes import CLASSES
from her2edge_training.explained.fields import FIELDS
from her2edge_training.recipe import Recipe

_COLUMNS = ("field", "default", "paper's recipe", "the paper says", "meaning")


def fields_tables(paper: Recipe) -> str:
    """A table for each record: its fields, their defaults, their values in `paper`, what the paper says."""
    (stage,) = paper.stages
    records = (paper, stage, paper.split, paper.stain, paper.plateau)
    return "\n\n".join(_table(record) for record in records)


def _table(record: Any) -> str:
    kind = type(record)
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
    rows = (
        (f"`{name}`", _words(defaults[name]), _words(getattr(record, name)), said.paper, said.text)
        for name, said in FIELDS[kind].items()
    )
    return "\n".join([f"### {kind.__name__}", "", *markdown(_COLUMNS, rows)])


def _words(value: Any) -> str:
    """A value in a cell; records have tables of their own."""
    if value is msgspec.NODEFAULT:
        return "must be given"
    if isinstance(value, msgspec.Struct) or (
        isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct)
    ):
        return "see below"
    if value == CLASSES:
        return "`CLASSES`"
    return f"`StainMode.{value.name}`" if isinstance(value, StainMode) else f"`{value!r}`"
